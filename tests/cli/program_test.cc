// The bundle program from outside: exit codes, both output forms, and what it says when it is
// misused. Each test is one behaviour.
#include <memory>

#include "base/json.h"
#include "tests/cli/bundle_program.h"
#include "tests/golden/golden_weights.h"

namespace bundle {
namespace {

class Program : public BundleProgram {
 protected:
  /// The `error` member of a run that failed with --output json.
  Json error_of(const Ran& ran) {
    const auto document = parse_json(ran.out, "stdout");
    EXPECT_TRUE(document) << ran.out;
    return document ? document->at("error") : Json();
  }
};

TEST_F(Program, WithoutArgumentsShowsHelpAndFails) {
  const Ran ran = run("");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("First steps"), std::string::npos);
}

TEST_F(Program, EveryCommandHasHelp) {
  for (const char* command :
       {"bench",   "build",    "chat",    "completion", "delete",   "deploy",  "doctor",
        "gc",      "init",     "inspect", "key",        "list",     "logs",    "prompt",
        "rm",      "rollback", "serve",   "status",     "tokenize", "version", "size",
        "catalog", "gateway",  "scale",   "simulate",   "update",   "promote", "verify"}) {
    const Ran ran = run(std::string(command) + " --help");
    EXPECT_EQ(ran.code, 0) << command;
    EXPECT_NE(ran.out.find("Usage: bundle " + std::string(command)), std::string::npos) << ran.out;
  }
}

TEST_F(Program, AMisspeltCommandIsSuggested) {
  const Ran ran = run("buld .");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("Did you mean 'bundle build'?"), std::string::npos) << ran.err;
}

TEST_F(Program, AnUnknownCommandIsNamed) {
  const Ran ran = run("frobnicate x");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("no command 'frobnicate'"), std::string::npos) << ran.err;
}

TEST_F(Program, AnOutputThatCannotBeWrittenIsAFailure) {
  EXPECT_EQ(run("version >/dev/full").code, 1);
  EXPECT_EQ(run("list --output json >/dev/full").code, 1);
}

TEST_F(Program, ForeignTextDoesNotReachTheTerminalRaw) {
  const Ran ran = run("inspect \"$(printf 'a\\033]0;x\\007')\"");
  EXPECT_NE(ran.code, 0);
  EXPECT_EQ(ran.err.find('\x1b'), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("\\x1b]0;x\\x07"), std::string::npos) << ran.err;
}

TEST_F(Program, AnUnknownOptionIsWrongUsageInJsonToo) {
  const Ran ran = run("list --wat --output json");
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(error_of(ran).at("code").as_string(), "usage");
  EXPECT_EQ(ran.err, "");
}

TEST_F(Program, AnEmptyStoreListsNothing) {
  EXPECT_NE(run("list").out.find("No bundles yet"), std::string::npos);
  const Ran ran = run("list --output json");
  EXPECT_EQ(ran.code, 0);
  EXPECT_TRUE(parse_json(ran.out, "stdout")) << ran.out;
}

TEST_F(Program, MakesApiKeysAndKeepsTheirHashesOnly) {
  const std::string file = (home_ / "keys").string();
  const Ran first = run("key alice --concurrency 2 --file " + file + " --output json");
  ASSERT_EQ(first.code, 0) << first.err;
  const std::string secret(parse_json(first.out, "output")->at("key").as_string());
  EXPECT_TRUE(secret.starts_with("sk-"));
  EXPECT_EQ(secret.size(), 67u);
  EXPECT_EQ(run("key bob --scopes metrics --file " + file).code, 0);
  const std::string text = *read_file(file);
  EXPECT_EQ(text.find(secret), std::string::npos);
  EXPECT_NE(text.find(" name=alice concurrency=2\nsha256:"), std::string::npos) << text;
  EXPECT_EQ(run("key carol --scopes root").code, 2);
}

TEST_F(Program, AMissingBundleIsNotFound) {
  for (const char* command : {"inspect", "rm", "serve", "bench"}) {
    const Ran ran = run(std::string(command) + " nope --output json");
    EXPECT_EQ(ran.code, 4) << command << ran.out;
    EXPECT_EQ(error_of(ran).at("code").as_string(), "not_found");
  }
}

TEST_F(Program, AMissingDeploymentIsNotFound) {
  for (const char* command :
       {"status nope", "logs nope", "delete nope", "rollback nope", "update nope", "scale nope 2",
        "update nope --canary 10%", "promote nope", "promote nope --plan",
        "gateway --deployment nope", "verify nope --deployment"}) {
    const Ran ran = run(command);
    EXPECT_EQ(ran.code, 4) << command;
    EXPECT_NE(ran.err.find("no deployment 'nope'"), std::string::npos) << ran.err;
  }
}

TEST_F(Program, HostsAreThoseOfTheTargetSsh) {
  const Ran wrong = run("status prod --target kubernetes --on root@a");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("hosts of the target ssh"), std::string::npos) << wrong.err;
  const Ran none = run("status --target ssh");
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("--on USER@HOST"), std::string::npos) << none.err;
  const Ran named = run("status prod --on 127.0.0.1:1");
  EXPECT_EQ(named.code, 5) << named.err;
}

TEST_F(Program, ACanarysPartIsAWholePercentage) {
  for (const char* part :
       {"101%", "-1%", "ten", "10.5%", "10%%", "%", "1e1", "'10 %'", "'10%;id'"}) {
    const Ran ran = run(std::string("update nope --canary ") + part + " --output json");
    EXPECT_EQ(ran.code, 2) << part << ran.out;
    EXPECT_EQ(error_of(ran).at("code").as_string(), "usage") << part;
  }
}

TEST_F(Program, TargetsWithoutCanariesSayWhatToUse) {
  for (const auto& [target, instead] :
       {std::pair("kubernetes", "canary_percent"), std::pair("slurm", "bundle gateway --backend"),
        std::pair("aws", "split the traffic"), std::pair("podman", "split the traffic")}) {
    const Ran ran = run(std::string("update prod --canary 10% --output json --target ") + target);
    EXPECT_EQ(ran.code, 2) << target;
    const std::string remedy(error_of(ran).at("remedy").as_string());
    EXPECT_NE(remedy.find(instead), std::string::npos) << remedy;
  }
}

TEST_F(Program, HostileDeploymentNamesAreNotFound) {
  const Path trace = home_ / "trace";
  for (const std::string& name :
       {std::string("../x"), "$(touch " + trace.string() + ")", "x;touch " + trace.string(),
        std::string("a/b"), std::string(70, 'n')}) {
    for (const char* command : {"promote '", "rollback '", "gateway --deployment '", "status '",
                                "update --canary 10% '", "verify --deployment '"}) {
      EXPECT_EQ(run(command + name + "'").code, 4) << command << name;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(trace));
}

TEST_F(Program, SettingsReachWhatADeploymentRuns) {
  const auto golden = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden/llama_tied"));
  ASSERT_TRUE(golden);
  ASSERT_TRUE(golden::make_checkpoint(*golden, home_ / "model"));
  ASSERT_EQ(run("build " + (home_ / "model").string() + " --name tiny --no-runtime").code, 0);
  const std::string out = (home_ / "files").string();
  const Path file = home_ / "deployment.yaml";
  ASSERT_TRUE(write_file_atomic(
      file, "name: prod\ntarget: kubernetes\nbundle: tiny\nkubernetes: {image: registry/x:1}\n"));
  const Ran rendered =
      run("deploy -f " + file.string() + " --set runtime.max_sequences=3 --render " + out);
  ASSERT_EQ(rendered.code, 0) << rendered.err;
  const auto pods = read_file(Path(out) / "deployment-prod.yaml", 1u << 20);
  ASSERT_TRUE(pods);
  EXPECT_NE(pods->find("max_sequences=3"), std::string::npos) << *pods;
}

TEST_F(Program, AGatewayHasOneSourceOfReplicas) {
  EXPECT_EQ(run("gateway --deployment prod --backend http://a:1").code, 2);
  EXPECT_EQ(run("gateway --deployment prod --endpoints /tmp/list").code, 2);
  EXPECT_EQ(run("gateway").code, 2);
}

TEST_F(Program, AnUnreadableModelIsBadInputAndLeavesNoTrace) {
  ASSERT_TRUE(write_file_atomic(home_ / "broken.gguf", "GGUF\x03"));
  const Ran ran = run("build " + (home_ / "broken.gguf").string() + " --output json");
  EXPECT_EQ(ran.code, 3) << ran.out;
  EXPECT_EQ(error_of(ran).at("code").as_string(), "bad_input");
  EXPECT_FALSE(std::filesystem::exists(home_ / "store" / "blobs"));
}

TEST_F(Program, AnUnknownKeyOfBundleYamlIsNamedWithTheNearest) {
  ASSERT_TRUE(make_directories(home_ / "m"));
  ASSERT_TRUE(write_file_atomic(home_ / "m" / "bundle.yaml", "name: x\nruntme: {}\n"));
  const Ran ran = run("build " + (home_ / "m").string());
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("runtme"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("runtime"), std::string::npos) << ran.err;
}

TEST_F(Program, InitWritesATemplateThatIsValidAndDoesNotOverwrite) {
  const std::string folder = (home_ / "new").string();
  EXPECT_EQ(run("init --dir " + folder).code, 0);
  EXPECT_EQ(run("init --dir " + folder).code, 1);
  EXPECT_EQ(run("init --force --dir " + folder).code, 0);
  // It is valid up to the model that is not there.
  EXPECT_EQ(run("build " + folder).code, 4);
  EXPECT_EQ(run("init smolm2-135m-instruct --dir " + folder).code, 4);
}

TEST_F(Program, APromptOfATemplateHasNothingAdded) {
  ASSERT_TRUE(write_file_atomic(home_ / "t.jinja", "{{ bos_token }}{{ messages[0].content }}"));
  ASSERT_TRUE(
      write_file_atomic(home_ / "c.json", R"({"bos_token":"<s>","messages":[{"content":"hé"}]})"));
  const Ran ran = run("prompt --template " + (home_ / "t.jinja").string() + " --input " +
                      (home_ / "c.json").string());
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "<s>hé");
}

TEST_F(Program, TheClockOfTemplatesCanBeSet) {
  ASSERT_TRUE(write_file_atomic(home_ / "t.jinja", "{{ strftime_now('%d %b %Y') }}"));
  ASSERT_TRUE(write_file_atomic(home_ / "c.json", "{}"));
  ::setenv("BUNDLE_NOW", "2026-11-23T12:34:56", 1);
  const Ran ran = run("prompt --template " + (home_ / "t.jinja").string() + " --input " +
                      (home_ / "c.json").string());
  ::unsetenv("BUNDLE_NOW");
  EXPECT_EQ(ran.out, "23 Nov 2026");
}

TEST_F(Program, CompletionScriptsAreValidShell) {
  const Ran bash = run("completion bash");
  ASSERT_EQ(bash.code, 0);
  ASSERT_TRUE(write_file_atomic(home_ / "completion.bash", bash.out));
  const std::string test = "bash -c 'source " + (home_ / "completion.bash").string() +
                           "; COMP_WORDS=(bundle de); COMP_CWORD=1; _bundle; "
                           "[ \"${COMPREPLY[*]}\" = \"deploy delete\" ]'";
  EXPECT_EQ(std::system(test.c_str()), 0) << bash.out;
  EXPECT_NE(run("completion zsh").out.find("#compdef bundle"), std::string::npos);
  EXPECT_NE(run("completion fish").out.find("complete -c bundle"), std::string::npos);
  EXPECT_EQ(run("completion tcsh").code, 2);
}

TEST_F(Program, AnUnknownTargetIsNamed) {
  ASSERT_TRUE(make_directories(home_ / "m"));
  const Ran ran = run("deploy --target mars --name x " + (home_ / "m").string());
  EXPECT_NE(ran.code, 0);
}

TEST_F(Program, SimulateSaysWhatToDo) {
  ASSERT_TRUE(write_file_atomic(
      home_ / "p.json", R"({"prefill_tokens_per_second":16000,"step_ms":14,"kv_tokens":350000})"));
  const std::string profile = " --profile " + (home_ / "p.json").string();
  const Ran ran = run("simulate --generate steady --rate 2 --minutes 5 --ttft-ms 3000 --max 4" +
                      profile + " --report " + (home_ / "r.html").string() + " --output json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto document = parse_json(ran.out, "stdout");
  ASSERT_TRUE(document) << ran.out;
  EXPECT_NE(document->at("verdict").as_string().size(), 0u);
  EXPECT_GE(document->at("best").at("attainment").to_number<double>(), 0.99);
  EXPECT_NE(read_file(home_ / "r.html")->find("<svg"), std::string::npos);
  EXPECT_EQ(run("simulate" + profile).code, 2);
}

TEST_F(Program, AGatewayNeedsReplicas) {
  EXPECT_EQ(run("gateway").code, 2);
  EXPECT_EQ(run("gateway --backend nowhere").code, 3);
}

TEST_F(Program, WhatOnlyWritesFilesSaysSo) {
  ASSERT_TRUE(write_file_atomic(home_ / "d.yaml", "name: x\ntarget: podman\n"));
  const Ran ran = run("status x --file " + (home_ / "d.yaml").string() + " --output json");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.out.find("--render"), std::string::npos) << ran.out;
}

TEST_F(Program, FlagsThatOnlyAskAnswerInJsonToo) {
  const Ran version = run("--version --output json");
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, run("version --output json").out);
  const Ran help = run("list --help --output json");
  EXPECT_EQ(help.code, 0);
  const auto document = parse_json(help.out, "stdout");
  ASSERT_TRUE(document) << help.out;
  EXPECT_NE(document->at("help").as_string().find("bundle list"), std::string::npos);
}

TEST_F(Program, OnlyAServerIsPackedAsOne) {
  for (const char* program : {"/bin/ls", BUNDLE_BINARY_DIR "/bin/bundle"}) {
    const Ran ran = run("build . --server " + std::string(program));
    EXPECT_EQ(ran.code, 2) << program;
    EXPECT_NE(ran.err.find("no bundle-server"), std::string::npos) << ran.err;
  }
}

TEST_F(Program, ARegistrysPortIsChecked) {
  const Ran ran = run("pull localhost:99999/tiny --plain-http");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("'localhost:99999' is no registry's HOST[:PORT]"), std::string::npos)
      << ran.err;
}

TEST_F(Program, VersionIsPrintedInBothForms) {
  EXPECT_EQ(run("version").out.rfind("bundle ", 0), 0u);
  EXPECT_EQ(run("--version").code, 0);
  EXPECT_TRUE(parse_json(run("version --output json").out, "stdout"));
}

}  // namespace
}  // namespace bundle
