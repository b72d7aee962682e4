// The target aws against an HTTP server that answers as CloudFormation does in states that are hard
// to bring about, and as no service should.
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <mutex>

#include "base/base64.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/url.h"
#include "cloud/aws/aws_api.h"
#include "cloud/aws/aws_provider.h"
#include "cloud/aws/source_bucket.h"
#include "cloud/aws/stack_state.h"
#include "cloud/aws/stack_template.h"
#include "tests/packager/fake_server.h"

namespace bundle::cloud {
namespace {

using packager::sample::FakeAnswer;
using packager::sample::FakeRequest;
using packager::sample::FakeServer;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr char kId[] = "arn:aws:cloudformation:eu-west-1:1:stack/bundle-distill/1";

DeploymentSpec machine_spec() {
  DeploymentSpec spec;
  spec.name = "distill";
  spec.target = "aws";
  spec.bundle = "tiny:latest";
  spec.server = {"/var/lib/bundle/runtime/aa/ld.so",
                 "/var/lib/bundle/runtime/aa/bin/bundle-server"};
  spec.launch = {
      {"name", "tiny"}, {"model", JsonArray{}}, {"runtime", JsonObject{{"b", 1}, {"a", 2}}}};
  spec.settings = {{"source", "s3://models/distill"},
                   {"machine_image", "ami-1"},
                   {"instance_type", "g5.xlarge"},
                   {"vpc", "vpc-1"},
                   {"upload", false},
                   {"subnets", JsonArray{"subnet-1", "subnet-2"}}};
  return spec;
}

History history_of(int revisions) {
  History history;
  for (int i = 0; i < revisions; ++i) {
    DeploymentSpec spec = machine_spec();
    spec.scaling.max_replicas = 1 + i;
    history.add(spec);
  }
  return history;
}

std::string action_of(const FakeRequest& request) {
  const std::size_t start = request.body.find("Action=") + 7;
  return request.body.substr(start, request.body.find('&', start) - start);
}

std::string answer(const std::string& action, const std::string& result) {
  return "<" + action + "Response xmlns=\"https://x/\"><" + action + "Result>" + result + "</" +
         action + "Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></" +
         action + "Response>";
}

FakeAnswer refusal(int status, const std::string& code, const std::string& message) {
  return {.status = status,
          .body = "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>" +
                  message + "</Message></Error></ErrorResponse>"};
}

std::string stack_xml(const std::string& status, const std::string& tag = "distill") {
  return "<Stacks><member><StackName>bundle-distill</StackName><StackId>" + std::string(kId) +
         "</StackId><StackStatus>" + status +
         "</StackStatus><Tags><member><Key>bundle-deployment</Key><Value>" + tag +
         "</Value></member></Tags></member></Stacks>";
}

/// A stand-in for AWS: each action has a handler, and what has none answers nothing.
class AwsTest : public testing::Test {
 protected:
  using Handler = std::function<FakeAnswer(const FakeRequest&)>;

  AwsTest() : server_([this](const FakeRequest& request) { return handle(request); }) {
    ::setenv("AWS_ENDPOINT_URL", ("http://" + server_.address()).c_str(), 1);
    ::setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "very-secret", 1);
    ::setenv("AWS_REGION", "eu-west-1", 1);
    ::unsetenv("AWS_SESSION_TOKEN");
  }

  void on(const std::string& action, Handler handler) { handlers_[action] = std::move(handler); }
  void on(const std::string& action, const std::string& result) {
    on(action, [=](const FakeRequest&) { return FakeAnswer{.body = answer(action, result)}; });
  }
  /// A stack that has revisions 1 to `revisions`.
  void have_stack(const std::string& status, int revisions = 2) {
    on("DescribeStacks", stack_xml(status));
    body_ = *stack_body(history_of(revisions));
    on("GetTemplate", [this](const FakeRequest&) {
      return FakeAnswer{.body = answer("GetTemplate", "<TemplateBody>" + escape_markup(body_) +
                                                          "</TemplateBody>")};
    });
  }

  std::size_t count(const std::string& action) const {
    const auto requests = server_.requests();
    return std::count_if(requests.begin(), requests.end(),
                         [&](const auto& request) { return action_of(request) == action; });
  }

  static AwsApi api() { return AwsApi(*aws_access({})); }
  static std::unique_ptr<Provider> provider() { return make_aws_provider({}); }
  static DeploymentSpec changed() {
    DeploymentSpec spec = machine_spec();
    spec.environment = {{"A", "b"}};
    return spec;
  }

  std::string body_;

 private:
  FakeAnswer handle(const FakeRequest& request) {
    const auto found = handlers_.find(action_of(request));
    if (found == handlers_.end()) return {.body = answer(action_of(request), "")};
    return found->second(request);
  }

  std::map<std::string, Handler> handlers_;
  FakeServer server_;

 protected:
  std::vector<FakeRequest> requests() const { return server_.requests(); }
};

TEST_F(AwsTest, SignsAndEncodesWhatItSends) {
  ASSERT_TRUE(api().call(kCloudFormation, "GetTemplate", {{"StackName", "a b&c=é"}}));
  const FakeRequest sent = requests().at(0);
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.body, "Action=GetTemplate&Version=2010-05-15&StackName=a%20b%26c%3D%C3%A9");
  EXPECT_THAT(
      sent.header("authorization"),
      AllOf(HasSubstr("Credential=AKID/"), HasSubstr("/eu-west-1/cloudformation/aws4_request"),
            HasSubstr("SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date,")));
  EXPECT_EQ(sent.header("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
  ::setenv("AWS_SESSION_TOKEN", "token", 1);
  ASSERT_TRUE(api().call(kCloudFormation, "GetTemplate", {}));
  EXPECT_EQ(requests().at(1).header("x-amz-security-token"), "token");
  for (const FakeRequest& request : requests()) {
    EXPECT_THAT(request.body + request.header("authorization"), Not(HasSubstr("very-secret")));
  }
}

TEST_F(AwsTest, TellsRefusalsApart) {
  const auto error_of = [&](int status, const std::string& code, const std::string& message) {
    on("GetTemplate", [=](const FakeRequest&) { return refusal(status, code, message); });
    return api().call(kCloudFormation, "GetTemplate", {}).error();
  };
  const Error denied = error_of(403, "AccessDenied", "User u is not authorized\x1b[2J");
  EXPECT_EQ(denied.code, ErrorCode::kUnreachable);
  EXPECT_THAT(denied.what,
              AllOf(HasSubstr("denies cloudformation:GetTemplate"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(error_of(403, "SignatureDoesNotMatch", "m").what,
              HasSubstr("does not take these keys"));
  EXPECT_THAT(error_of(403, "ExpiredToken", "m").remedy, HasSubstr("Get new ones"));
  EXPECT_EQ(error_of(400, "ValidationError", "Stack with id x does not exist").code,
            ErrorCode::kNotFound);
  on("GetTemplate", [](const FakeRequest&) {
    return FakeAnswer{.status = 403, .body = R"({"message":"Forbidden"})"};
  });
  EXPECT_EQ(api().call(kCloudFormation, "GetTemplate", {}).error().code, ErrorCode::kUnreachable);
  const Error other = error_of(400, "LimitExceeded", "Only 2 stacks");
  EXPECT_EQ(other.code, ErrorCode::kFailed);
  EXPECT_THAT(other.what, HasSubstr("LimitExceeded: Only 2 stacks"));
}

TEST_F(AwsTest, TriesAgainWhenThrottledAndNotForEver) {
  int calls = 0;
  on("GetTemplate", [&](const FakeRequest&) {
    return ++calls < 3
               ? refusal(400, "Throttling", "Rate exceeded")
               : FakeAnswer{.body = answer("GetTemplate", "<TemplateBody>t</TemplateBody>")};
  });
  EXPECT_EQ(api().call(kCloudFormation, "GetTemplate", {})->child_text("TemplateBody"), "t");
  on("GetTemplate", [](const FakeRequest&) { return refusal(503, "ServiceUnavailable", "no"); });
  EXPECT_EQ(api().call(kCloudFormation, "GetTemplate", {}).error().code, ErrorCode::kUnreachable);
  EXPECT_EQ(count("GetTemplate"), 3u + 4u);
}

TEST_F(AwsTest, RefusesAnswersThatAreNone) {
  const auto code_for = [&](FakeAnswer given) {
    on("DescribeStacks", [=](const FakeRequest&) { return given; });
    return CloudFormation(api()).find_stack("bundle-distill");
  };
  const std::string whole = answer("DescribeStacks", stack_xml("CREATE_COMPLETE"));
  EXPECT_EQ(code_for({.body = whole.substr(0, whole.size() / 2)}).error().code,
            ErrorCode::kUnreachable);
  EXPECT_EQ(code_for({.body = "{\"Stacks\": []}"}).error().code, ErrorCode::kUnreachable);
  EXPECT_EQ(code_for({.body = ""}).error().code, ErrorCode::kUnreachable);
  EXPECT_FALSE(code_for({.body = "<a>", .endless = 1u << 30}));
  EXPECT_EQ(code_for({.body = answer("DescribeStacks", "<Stacks><member/></Stacks>")}).error().code,
            ErrorCode::kBadInput);
  EXPECT_FALSE(*code_for({.body = answer("DescribeStacks", "<Stacks/>")}));
}

TEST_F(AwsTest, EndsPagesThatDoNot) {
  on("DescribeStacks", "<Stacks/><NextToken>again</NextToken>");
  EXPECT_THAT(CloudFormation(api()).stacks().error().what, HasSubstr("do not end"));
  EXPECT_EQ(count("DescribeStacks"), 2u);
  int page = 0;
  on("DescribeStacks", [&](const FakeRequest&) {
    return FakeAnswer{
        .body = answer("DescribeStacks", "<NextToken>" + std::to_string(++page) + "</NextToken>")};
  });
  EXPECT_THAT(CloudFormation(api()).stacks().error().what, HasSubstr("do not end"));
}

TEST_F(AwsTest, ReadsAllPagesOfAChangeSet) {
  on("CreateChangeSet", "<Id>cs</Id><StackId>s</StackId>");
  on("DescribeChangeSet", [](const FakeRequest& request) {
    const bool second = request.body.find("NextToken=two") != std::string::npos;
    const std::string change =
        "<Status>CREATE_COMPLETE</Status><Changes><member><ResourceChange><Action>"
        "Modify</Action><LogicalResourceId>R" +
        std::string(second ? "2" : "1") +
        "</LogicalResourceId><Replacement>True</Replacement></ResourceChange>"
        "</member></Changes>";
    return FakeAnswer{
        .body = answer("DescribeChangeSet", change + (second ? "" : "<NextToken>two</NextToken>"))};
  });
  const auto made = CloudFormation(api()).make_change_set("s", false, "t", {{"k", "v"}}, {});
  ASSERT_TRUE(made);
  ASSERT_EQ(made->changes.size(), 2u);
  EXPECT_EQ(made->changes[1].resource, "R2");
  EXPECT_THAT(requests().at(0).body,
              AllOf(HasSubstr("ClientToken=bundle-"), HasSubstr("ChangeSetType=UPDATE"),
                    HasSubstr("Tags.member.1.Key=k")));
}

TEST_F(AwsTest, PlansByAChangeSetThatItTakesBack) {
  have_stack("UPDATE_COMPLETE");
  on("CreateChangeSet", "<Id>cs</Id><StackId>s</StackId>");
  on("DescribeChangeSet",
     "<Status>CREATE_COMPLETE</Status><Changes><member><ResourceChange><Action>Modify</Action>"
     "<LogicalResourceId>Balancer</LogicalResourceId><ResourceType>T</ResourceType>"
     "<Replacement>True</Replacement></ResourceChange></member></Changes>");
  const auto plan = provider()->plan(changed());
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_THAT(plan->steps, Contains("replace Balancer (T)"));
  EXPECT_EQ(plan->revision, 3);
  EXPECT_EQ(count("DeleteChangeSet"), 1u);
  EXPECT_EQ(count("ExecuteChangeSet"), 0u);
}

TEST_F(AwsTest, SeesThatNothingChangedBeforeAnyChangeSet) {
  have_stack("UPDATE_COMPLETE");
  const auto plan = provider()->plan(history_of(2).current().spec);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_FALSE(plan->changes);
  EXPECT_TRUE(provider()->apply(history_of(2).current().spec, {}));
  EXPECT_EQ(count("CreateChangeSet"), 0u);
}

TEST_F(AwsTest, TakesAwsWordThatNothingChanged) {
  have_stack("UPDATE_COMPLETE");
  on("CreateChangeSet", "<Id>cs</Id><StackId>s</StackId>");
  on("DescribeChangeSet",
     "<Status>FAILED</Status><StatusReason>The submitted information didn't "
     "contain changes.</StatusReason>");
  const auto status = provider()->apply(changed(), {});
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->revision, 2);
  EXPECT_EQ(count("DeleteChangeSet"), 1u);
  EXPECT_EQ(count("ExecuteChangeSet"), 0u);
}

TEST_F(AwsTest, TellsWhyAnUpdateWasTakenBack) {
  have_stack("UPDATE_COMPLETE");
  on("CreateChangeSet", "<Id>cs</Id><StackId>s</StackId>");
  on("DescribeChangeSet", "<Status>CREATE_COMPLETE</Status>");
  bool begun = false;
  on("ExecuteChangeSet", [&](const FakeRequest&) {
    begun = true;
    on("DescribeStacks", stack_xml("UPDATE_ROLLBACK_COMPLETE"));
    return FakeAnswer{.body = answer("ExecuteChangeSet", "")};
  });
  const std::string old =
      "<member><EventId>old</EventId><LogicalResourceId>Old</LogicalResourceId>"
      "<ResourceStatus>CREATE_FAILED</ResourceStatus><ResourceStatusReason>long "
      "ago</ResourceStatusReason></member>";
  on("DescribeStackEvents", [&](const FakeRequest&) {
    const std::string fresh =
        "<member><EventId>3</EventId><LogicalResourceId>Targets</LogicalResourceId><ResourceStatus>"
        "UPDATE_FAILED</ResourceStatus><ResourceStatusReason>Resource update cancelled"
        "</ResourceStatusReason></member><member><EventId>2</EventId><LogicalResourceId>Replicas"
        "</LogicalResourceId><ResourceType>AWS::AutoScaling::AutoScalingGroup</ResourceType>"
        "<ResourceStatus>UPDATE_FAILED</ResourceStatus><ResourceStatusReason>no such image"
        "</ResourceStatusReason></member>";
    return FakeAnswer{.body = answer("DescribeStackEvents", "<StackEvents>" + (begun ? fresh : "") +
                                                                old + "</StackEvents>")};
  });
  const auto status = provider()->apply(changed(), {});
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().what,
              AllOf(HasSubstr("Replicas (AWS::AutoScaling::AutoScalingGroup): no such image"),
                    Not(HasSubstr("cancelled")), Not(HasSubstr("long ago"))));
  EXPECT_THAT(status.error().remedy, HasSubstr("The revision before runs on"));
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%';
    out += is_escape ? static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16))
                     : text[i];
    if (is_escape) i += 2;
  }
  return out;
}

std::string parameter(const FakeRequest& request, const std::string& name) {
  const std::size_t start = request.body.find('&' + name + '=') + name.size() + 2;
  return percent_decode(request.body.substr(start, request.body.find('&', start) - start));
}

TEST_F(AwsTest, ReturnsToTheRevisionBeforeWhenMachinesDoNotComeUp) {
  have_stack("UPDATE_COMPLETE");
  std::string next;
  on("CreateChangeSet", [&](const FakeRequest& request) {
    next = parameter(request, "TemplateBody");
    return FakeAnswer{.body = answer("CreateChangeSet", "<Id>cs</Id><StackId>s</StackId>")};
  });
  on("DescribeChangeSet", "<Status>CREATE_COMPLETE</Status>");
  on("ExecuteChangeSet", [&](const FakeRequest&) {
    body_ = next;
    return FakeAnswer{.body = answer("ExecuteChangeSet", "")};
  });
  on("DescribeStackResources",
     "<StackResources><member><LogicalResourceId>Replicas</LogicalResourceId><PhysicalResourceId>g"
     "</PhysicalResourceId></member></StackResources>");
  on("DescribeAutoScalingGroups",
     "<AutoScalingGroups><member><DesiredCapacity>1</DesiredCapacity></member></"
     "AutoScalingGroups>");
  on("DescribeScalingActivities",
     "<Activities><member><StatusCode>Failed</StatusCode><StatusMessage>no capacity"
     "</StatusMessage></member></Activities>");
  DeploymentSpec spec = changed();
  spec.update.ready_seconds = 1;
  spec.settings["boot_seconds"] = 0;
  const auto status = provider()->apply(spec, {});
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().what, HasSubstr("not ready in time: no capacity"));
  EXPECT_EQ(status.error().remedy, "The revision before runs again, as revision 4.");
  const auto record = read_record(body_, "stack");
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->history.number(), 4);
  EXPECT_EQ(record->history.current().spec, history_of(2).current().spec);
}

TEST_F(AwsTest, LeavesAStackThatAnotherChangedMeanwhile) {
  have_stack("UPDATE_COMPLETE", 2);
  on("CreateChangeSet", [&](const FakeRequest&) {
    body_ = *stack_body(history_of(3));
    return FakeAnswer{.body = answer("CreateChangeSet", "<Id>cs</Id><StackId>s</StackId>")};
  });
  on("DescribeChangeSet", "<Status>CREATE_COMPLETE</Status>");
  EXPECT_THAT(provider()->apply(changed(), {}).error().what, HasSubstr("changed meanwhile"));
  EXPECT_EQ(count("DeleteChangeSet"), 1u);
  EXPECT_EQ(count("ExecuteChangeSet"), 0u);
}

TEST_F(AwsTest, MeetsEveryStateThatNeedsSomethingElseFirst) {
  for (const auto& [state, remedy] : std::map<std::string, std::string>{
           {"ROLLBACK_COMPLETE", "'bundle delete distill', then deploy"},
           {"CREATE_FAILED", "'bundle delete distill', then deploy"},
           {"REVIEW_IN_PROGRESS", "'bundle delete distill' removes it"},
           {"UPDATE_IN_PROGRESS", "Wait until it has ended"},
           {"UPDATE_ROLLBACK_IN_PROGRESS", "Wait until it has ended"},
           {"UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Wait until it has ended"},
           {"DELETE_IN_PROGRESS", "Wait until it has ended"},
           {"UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name bundle-distill"},
           {"UPDATE_FAILED", "rollback-stack"},
           {"DELETE_FAILED", "'bundle delete distill' again"},
           {"SOMETHING_NEW", ""}}) {
    have_stack(state);
    for (const auto& error :
         {provider()->plan(changed()).error(), provider()->apply(changed(), {}).error(),
          provider()->rollback("distill", 1, {}).error()}) {
      EXPECT_EQ(error.code, ErrorCode::kFailed) << state;
      EXPECT_THAT(error.what, HasSubstr(state));
      EXPECT_THAT(error.remedy, HasSubstr(remedy));
    }
    const auto status = provider()->status("distill");
    ASSERT_TRUE(status) << state << status.error().message();
    EXPECT_THAT(status->message, HasSubstr(state));
  }
  EXPECT_EQ(count("CreateChangeSet"), 0u);
}

TEST_F(AwsTest, RefusesAnothersStack) {
  have_stack("CREATE_COMPLETE");
  on("DescribeStacks", stack_xml("CREATE_COMPLETE", "other"));
  EXPECT_EQ(provider()->apply(changed(), {}).error().code, ErrorCode::kUsage);
  EXPECT_THAT(provider()->remove("distill", {}).error().what,
              HasSubstr("'bundle-distill' was not made"));
  EXPECT_EQ(count("DeleteStack"), 0u);
}

TEST_F(AwsTest, TellsWhatADeletionLeft) {
  have_stack("CREATE_COMPLETE");
  on("DeleteStack", [&](const FakeRequest&) {
    on("DescribeStacks", stack_xml("DELETE_FAILED"));
    return FakeAnswer{.body = answer("DeleteStack", "")};
  });
  on("DescribeStackResources",
     "<StackResources><member><LogicalResourceId>Role</LogicalResourceId><ResourceStatus>"
     "DELETE_COMPLETE</ResourceStatus></member><member><LogicalResourceId>ReplicaGroup"
     "</LogicalResourceId><PhysicalResourceId>sg-1</"
     "PhysicalResourceId><ResourceStatus>DELETE_FAILED"
     "</ResourceStatus><ResourceStatusReason>has a dependent object</ResourceStatusReason></member>"
     "</StackResources>");
  const auto done = provider()->remove("distill", {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what,
              AllOf(HasSubstr("ReplicaGroup"), HasSubstr("sg-1"),
                    HasSubstr("has a dependent object"), Not(HasSubstr("Role ("))));
}

TEST_F(AwsTest, SaysWhyItDoesNotScale) {
  have_stack("CREATE_COMPLETE");
  on("DescribeStackResources",
     "<StackResources><member><LogicalResourceId>Replicas</LogicalResourceId><PhysicalResourceId>g"
     "</PhysicalResourceId></member></StackResources>");
  on("DescribeAutoScalingGroups",
     "<AutoScalingGroups><member><DesiredCapacity>2</DesiredCapacity></member></"
     "AutoScalingGroups>");
  on("DescribeScalingActivities",
     "<Activities><member><StatusCode>InProgress</StatusCode></member><member><StatusCode>Failed"
     "</StatusCode><StatusMessage>no capacity in eu-west-1a</StatusMessage></member></Activities>");
  const auto status = provider()->status("distill");
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->message, "no capacity in eu-west-1a");
  EXPECT_EQ(status->state, "starting");
}

/// A stand-in for S3 that keeps what it is given.
class SourceTest : public testing::Test {
 protected:
  SourceTest() : server_([this](const FakeRequest& request) { return handle(request); }) {
    ::setenv("AWS_ENDPOINT_URL_S3", ("http://" + server_.address()).c_str(), 1);
    std::filesystem::create_directories(folder_);
  }
  ~SourceTest() override {
    ::unsetenv("AWS_ENDPOINT_URL_S3");
    std::filesystem::remove_all(folder_);
  }

  /// A file of the form, filled with zeros.
  void add_file(const std::string& name, std::uint64_t size) {
    const Path path = folder_ / name;
    ASSERT_TRUE(write_file_atomic(path, ""));
    std::filesystem::resize_file(path, size);
    const std::string hash =
        size == 0 ? sha256_hex(Bytes()) : sha256_hex(MappedFile::open(path)->bytes());
    form_.files.push_back({{path.string(), hash, size}, "/var/lib/bundle/blobs/" + name});
  }
  Result<MissingFiles> missing() const {
    return find_missing_files({{"AKID", "s", ""}, "eu-west-1"}, "s3://models/a/b", form_);
  }

  HostForm form_;
  std::string list_ = "<ListBucketResult></ListBucketResult>";
  std::map<std::string, std::uint64_t> kept_;  // "METHOD target" and the body's bytes
  int fail_part_ = 0;
  int delay_failures_ = 0;

 private:
  FakeAnswer handle(const FakeRequest& request) {
    const std::lock_guard lock(mutex_);
    kept_[request.method + ' ' + request.target] = request.body.size();
    if (request.method == "GET") return {.body = list_};
    if (!request.body.empty() &&
        request.header("x-amz-content-sha256") != sha256_hex(request.body)) {
      return {.status = 400, .body = "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"};
    }
    if (request.target.ends_with("?uploads="))
      return {.body = "<R><UploadId>u&amp;1</UploadId></R>"};
    if (fail_part_ != 0 &&
        request.target.find("partNumber=" + std::to_string(fail_part_)) != std::string::npos) {
      return {.status = 403, .body = "<Error><Code>AccessDenied</Code></Error>"};
    }
    if (delay_failures_ > 0 && request.method == "PUT" && delay_failures_-- > 0)
      return {.status = 503};
    return {.headers = {{"ETag", "\"e\""}}, .body = request.method == "POST" ? "<R/>" : ""};
  }

  Path folder_ = Path(testing::TempDir()) / "aws-source";
  std::mutex mutex_;
  FakeServer server_;
};

TEST_F(SourceTest, SendsWhatIsMissing) {
  add_file("there", 5);
  add_file("cut", 7);
  add_file("new", 9);
  add_file("empty", 0);
  form_.texts.push_back({"/var/lib/bundle/deployments/d/launch.json", "{}", "0644"});
  list_ =
      "<ListBucketResult><Contents><Key>a/b/blobs/there</Key><Size>5</Size></Contents><Contents>"
      "<Key>a/b/blobs/cut</Key><Size>6</Size></Contents></ListBucketResult>";
  const auto found = missing();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->bytes, 7u + 9u + 2u);
  delay_failures_ = 2;
  ASSERT_TRUE(upload_files(*found, {}));
  EXPECT_EQ(kept_.at("PUT /models/a/b/blobs/cut"), 7u);
  EXPECT_EQ(kept_.at("PUT /models/a/b/blobs/new"), 9u);
  EXPECT_EQ(kept_.count("PUT /models/a/b/blobs/empty"), 1u);
  EXPECT_EQ(kept_.at("PUT /models/a/b/deployments/d/launch.json"), 2u);
  EXPECT_EQ(kept_.count("PUT /models/a/b/blobs/there"), 0u);
}

TEST_F(SourceTest, SendsLargeFilesInParts) {
  constexpr std::uint64_t kPart = 64u << 20;
  add_file("large", kPart + 3);
  ASSERT_TRUE(upload_files(*missing(), {}));
  EXPECT_EQ(kept_.at("PUT /models/a/b/blobs/large?partNumber=1&uploadId=u%261"), kPart);
  EXPECT_EQ(kept_.at("PUT /models/a/b/blobs/large?partNumber=2&uploadId=u%261"), 3u);
  EXPECT_EQ(kept_.count("POST /models/a/b/blobs/large?uploadId=u%261"), 1u);
  EXPECT_EQ(kept_.count("DELETE /models/a/b/blobs/large?uploadId=u%261"), 0u);
  kept_.clear();
  fail_part_ = 2;
  const auto done = upload_files(*missing(), {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what, HasSubstr("s3:PutObject with 403 AccessDenied"));
  EXPECT_EQ(kept_.count("POST /models/a/b/blobs/large?uploadId=u%261"), 0u);
  EXPECT_EQ(kept_.count("DELETE /models/a/b/blobs/large?uploadId=u%261"), 1u);
}

TEST_F(SourceTest, StopsWhenAskedTo) {
  add_file("one", 1);
  add_file("two", 1);
  const auto done = upload_files(*missing(), [](auto...) { return false; });
  EXPECT_EQ(done.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(kept_.count("PUT /models/a/b/blobs/two"), 0u);
}

TEST_F(SourceTest, RefusesListsThatAreNone) {
  add_file("one", 1);
  for (const char* list :
       {"<ListBucketResult>", "", "<L><Contents><Key>k</Key><Size>x</Size></Contents></L>",
        "<L><NextContinuationToken>same</NextContinuationToken></L>"}) {
    list_ = list;
    EXPECT_EQ(missing().error().code, ErrorCode::kBadInput) << list;
  }
}

TEST(AwsRecord, KeepsEveryRevision) {
  const History history = history_of(10);
  const std::string body = *stack_body(history);
  const auto record = read_record(body, "stack");
  ASSERT_TRUE(record) << record.error().message();
  ASSERT_EQ(record->history.revisions.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(print_json(record->history.revisions[i].spec.to_json()),
              print_json(history.revisions[i].spec.to_json()));
  }
  EXPECT_EQ(record->template_sha256, *stack_fingerprint(history.current().spec));
}

TEST(AwsRecord, KeepsTheOrderOfALaunchDocument) {
  History history = history_of(1);
  DeploymentSpec other = machine_spec();
  other.launch["runtime"] = JsonObject{{"a", 2}, {"b", 1}};
  history.add(other);
  const auto read = full_history(compact_history(history), "test");
  ASSERT_TRUE(read);
  EXPECT_EQ(print_json(read->revisions[0].spec.launch),
            print_json(history.revisions[0].spec.launch));
  EXPECT_EQ(print_json(read->revisions[1].spec.launch), print_json(other.launch));
}

TEST(AwsRecord, DropsTheOldestWhereATemplateIsFull) {
  History history;
  for (int i = 0; i < 10; ++i) {
    DeploymentSpec spec = machine_spec();
    spec.bundle = "b" + std::to_string(i);
    spec.launch["model"] =
        JsonArray(40, Json(JsonObject{{"path", "/var/lib/bundle/" +
                                                   std::string(64, static_cast<char>('a' + i))}}));
    history.add(spec);
  }
  const std::string body = *stack_body(history);
  EXPECT_LE(body.size(), kMostTemplateBytes);
  const auto record = read_record(body, "stack");
  ASSERT_TRUE(record);
  EXPECT_GE(record->history.revisions.size(), 2u);
  EXPECT_LT(record->history.revisions.size(), 10u);
  EXPECT_EQ(record->history.current().number, 10);
  history.revisions.back().spec.launch["model"] = JsonArray(1000, Json(std::string(64, 'x')));
  EXPECT_EQ(stack_body(history).error().code, ErrorCode::kBadInput);
}

TEST(AwsRecord, RefusesWhatItCannotRead) {
  const std::string body = *stack_body(history_of(2));
  const auto with_history = [&](const std::string& text) {
    const std::size_t at = body.find("    history: ") + 13;
    return read_record(std::string(body).replace(at, body.find('\n', at) - at, text), "stack");
  };
  EXPECT_FALSE(read_record("", "stack"));
  EXPECT_FALSE(read_record("Resources:\n", "stack"));
  EXPECT_FALSE(with_history("!!"));
  for (const char* json :
       {"", "{}", "[]", "[1]", "[{\"number\": 1}]",
        "[{\"number\": \"1\", \"created\": 0, \"spec\": {}}]",
        "[{\"number\": 1, \"created\": 0, \"edits\": [{\"at\": [\"x\"], \"is\": 1}]}]",
        "[{\"number\": 1, \"created\": 0, \"spec\": [], \"edits\": [{\"at\": [1], \"is\": 1}]}]"}) {
    EXPECT_FALSE(with_history(base64_encode(json))) << json;
  }
  std::string newer = body;
  newer.replace(newer.find("    format: 1"), 13, "    format: 2");
  EXPECT_THAT(read_record(newer, "stack").error().remedy, HasSubstr("newer bundle"));
}

TEST(AwsTemplate, NamesItsResourcesAndItsTags) {
  const std::string body = *stack_body(history_of(2));
  EXPECT_THAT(stack_resources(body),
              Contains(testing::Pair("Replicas", "AWS::AutoScaling::AutoScalingGroup")));
  EXPECT_THAT(body, HasSubstr("Key: bundle-revision\n          Value: \"2\""));
  DeploymentSpec spec = machine_spec();
  spec.labels = {{"team", "a"}};
  EXPECT_THAT(stack_tags(spec), Contains(testing::Pair("bundle-deployment", "distill")));
  for (const auto& [key, value] :
       TextPairs{{"aws:x", "v"}, {"Name", "v"}, {"k", std::string(257, 'v')}, {"k", "<"}}) {
    spec.labels = {{key, value}};
    EXPECT_EQ(machine_form(spec).error().code, ErrorCode::kBadInput) << key;
  }
}

}  // namespace
}  // namespace bundle::cloud
