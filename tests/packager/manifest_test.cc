#include "packager/manifest.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/manifest_keys.h"

namespace bundle::packager {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view text) {
  const auto parsed = parse_manifest(text, "bundle.yaml");
  return parsed ? "accepted" : parsed.error().message();
}

constexpr const char* kFull = R"(# everything at once
name: team/smollm2
version: "1.0"
model: ./weights
quantize: q8_0
description: "A small model: for tests"
license: Apache-2.0
include: ["*.gguf"]
exclude:
  - "*.bin"
runtime:
  backend: cpu
  context_length: 4096
  deterministic: true
  gpu: 0
  kv_type: bf16
  kv_tokens: 100000
  max_sequences: 8
  max_step_tokens: 512
  prefix_cache: false
  speculation: lookup
  draft_tokens: 6
  threads: 2
  parallel: {tensor: 2, pipeline: 1, expert: 1, data: 1}
  chat_template: |
    {{ messages }}
  reasoning_parser: auto
  thinking: true
  tool_parser: auto
  server:
    max_queued_requests: 100
    max_connections: 1000
    max_body_bytes: 1000000
    request_timeout_seconds: 60
    target_concurrency: 8
    target_ttft_seconds: 0.5
    idle_seconds: 300
    min_replicas: 0
    max_replicas: 4
    page: true
    otlp_endpoint: http://127.0.0.1:4318
    webhook_url: http://127.0.0.1:9000/scale
    webhook_waiting: 4
    webhook_wait_seconds: 2
    webhook_kv_usage: 0.9
    webhook_idle_seconds: 600
  sampling:
    temperature: 0.7
    top_p: 1
    top_k: 40
    min_p: 0.05
    repetition_penalty: 1.1
    max_tokens: 256
resources: {cpu: 2, memory: 4Gi, gpu: 0, gpu_type: none, nodes: 1, disk: 1.5G}
scaling: {min_replicas: 0, max_replicas: 3, target_concurrency: 8, scale_down_delay_seconds: 60}
env: {A: b, LONG_NAME_2: "x=y"}
secrets: [HF_TOKEN]
labels: {org.example.team: llm}
)";

TEST(Manifest, ReadsEveryKey) {
  const auto manifest = parse_manifest(kFull, "bundle.yaml");
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->name, "team/smollm2");
  EXPECT_EQ(manifest->version, "1.0");
  EXPECT_EQ(manifest->model, "./weights");
  EXPECT_EQ(manifest->license, "Apache-2.0");
  EXPECT_THAT(manifest->include, testing::ElementsAre("*.gguf"));
  EXPECT_THAT(manifest->exclude, testing::ElementsAre("*.bin"));
  EXPECT_EQ(manifest->runtime.at("context_length"), 4096);
  EXPECT_EQ(manifest->runtime.at("prefix_cache"), false);
  EXPECT_EQ(manifest->runtime.at("chat_template"), "{{ messages }}\n");
  EXPECT_EQ(manifest->runtime.at("sampling").at("top_p"), 1.0);
  EXPECT_EQ(manifest->runtime.at("sampling").at("top_k"), 40);
  EXPECT_EQ(manifest->resources.at("memory"), 4ll << 30);
  EXPECT_EQ(manifest->resources.at("disk"), 1'500'000'000);
  EXPECT_EQ(manifest->scaling.at("max_replicas"), 3);
  EXPECT_EQ(manifest->env.at("LONG_NAME_2"), "x=y");
  EXPECT_THAT(manifest->secrets, testing::ElementsAre("HF_TOKEN"));
  EXPECT_EQ(manifest->labels.at("org.example.team"), "llm");
}

// A key that is added to the table without a line above would go untested.
TEST(Manifest, TheFullExampleNamesEveryKeyOfTheTable) {
  for (const ManifestKey& key : manifest_keys()) {
    EXPECT_THAT(kFull, HasSubstr(std::string(leaf_of(key.path)) + ":")) << key.path;
  }
}

TEST(Manifest, AnEmptyFileIsAllDefaults) {
  for (const char* text : {"", "# nothing\n", "runtime:\n", "{}"}) {
    const auto manifest = parse_manifest(text, "bundle.yaml");
    ASSERT_TRUE(manifest) << text;
    EXPECT_TRUE(manifest->name.empty());
    EXPECT_TRUE(manifest->runtime.empty());
  }
}

TEST(Manifest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(
      refusal("name: x\ncontext_lenght: 1\n"),
      "unknown key 'context_lenght' (bundle.yaml:2:1). Known keys: name, version, model, quantize, "
      "description, license, include, exclude, runtime, resources, scaling, env, secrets, "
      "labels.");
  EXPECT_EQ(refusal("runtime:\n  context_lenght: 1\n"),
            "unknown key 'context_lenght' in 'runtime' (bundle.yaml:2:3). Did you mean "
            "'context_length'?");
  EXPECT_THAT(refusal("runtime: {sampling: {temprature: 1}}\n"), HasSubstr("'temperature'?"));
  EXPECT_THAT(refusal("runtime.threads: 1\n"), HasSubstr("unknown key"));
  EXPECT_THAT(refusal("runtme: {}\n"), HasSubstr("Did you mean 'runtime'?"));
}

TEST(Manifest, RefusesWrongTypesWithLineAndColumn) {
  EXPECT_EQ(refusal("runtime:\n  context_length: many\n"),
            "'runtime.context_length' must be a whole number from 1 to 1000000000, not 'many' "
            "(bundle.yaml:2:19)");
  EXPECT_EQ(refusal("version: 1.0\n"),
            "'version' must be a text, not '1.0' (bundle.yaml:1:10). Write it in quotes: \"1.0\".");
  for (const char* text : {"name: [a]\n",
                           "name: {a: b}\n",
                           "name:\n",
                           "name: 12\n",
                           "name: true\n",
                           "- name\n",
                           "name\n",
                           "runtime: 3\n",
                           "runtime: []\n",
                           "runtime: {threads: 1.5}\n",
                           "runtime: {threads: '2'}\n",
                           "runtime: {threads: 0}\n",
                           "runtime: {threads: -1}\n",
                           "runtime: {threads: 99999}\n",
                           "runtime: {threads: 0x10}\n",
                           "runtime: {threads: 1e3}\n",
                           "runtime: {threads: 010}\n",
                           "runtime: {context_length: 99999999999999999999}\n",
                           "runtime: {prefix_cache: yes}\n",
                           "runtime: {prefix_cache: 1}\n",
                           "runtime: {kv_type: f8}\n",
                           "runtime: {backend: gpu}\n",
                           "runtime: {sampling: {temperature: .nan}}\n",
                           "runtime: {sampling: {temperature: -0.1}}\n",
                           "runtime: {sampling: {temperature: inf}}\n",
                           "runtime: {sampling: {top_p: 1.5}}\n",
                           "runtime: {sampling: {top_p: 1e999}}\n",
                           "resources: {memory: 4GiB}\n",
                           "resources: {memory: lots}\n",
                           "resources: {memory: -1}\n",
                           "resources: {memory: 99999999Ti}\n",
                           "include: '*.gguf'\n",
                           "include: [1]\n",
                           "include: [[a]]\n",
                           "secrets: {A: b}\n",
                           "secrets: ['A=b']\n",
                           "secrets: [1A]\n",
                           "env: [A=b]\n",
                           "env: {A: 1}\n",
                           "env: {'A B': x}\n",
                           "env: {A: [b]}\n",
                           "env: {A: }\n",
                           "labels: {'-': x}\n"}) {
    EXPECT_THAT(refusal(text), HasSubstr("(bundle.yaml:")) << text;
  }
}

TEST(Manifest, RefusesNamesThatAreNoRepository) {
  for (const char* name : {"Upper", "a..b", "../x", "/abs", "a/", "-a", "a-", "a b", "a;b", "$(id)",
                           "a\\nb", "a:b", "a@b", "", ".", "a/./b", "a//b"}) {
    EXPECT_FALSE(is_valid_name(name)) << name;
    EXPECT_NE(refusal("name: \"" + std::string(name) + "\"\n"), "accepted") << name;
  }
  EXPECT_FALSE(is_valid_name(std::string(129, 'a')));
  EXPECT_TRUE(is_valid_name(std::string(128, 'a')));
  for (const char* name : {"a", "7b", "deepseek-r1", "team/llama-3.2_1b", "a__b", "a--b"}) {
    EXPECT_TRUE(is_valid_name(name)) << name;
  }
}

TEST(Manifest, SaysWhichSourcesThereAre) {
  for (const char* source : {"hf://org/name", "s3://bucket/folder", "./folder", "file.gguf"}) {
    EXPECT_EQ(refusal("model: " + std::string(source) + "\n"), "accepted") << source;
  }
  for (const char* scheme : {"ftp", "file", "ocd"}) {
    EXPECT_THAT(
        refusal("model: " + std::string(scheme) + "://org/name\n"),
        HasSubstr("there is no model source '" + std::string(scheme) + "://' (bundle.yaml:1:8)"));
  }
}

TEST(Manifest, RefusesKeysThatContradictEachOther) {
  EXPECT_THAT(refusal("env: {TOKEN: x}\nsecrets: [TOKEN]\n"), HasSubstr("'TOKEN' is both"));
  EXPECT_THAT(refusal("scaling: {min_replicas: 3, max_replicas: 2}\n"), HasSubstr("min_replicas"));
}

TEST(Manifest, ALicenseIsAnSpdxExpression) {
  for (const char* license : {"MIT", "Apache-2.0", "GPL-2.0+", "MIT AND LicenseRef-llama3.1",
                              "(MIT OR Apache-2.0)", "GPL-2.0-only WITH Classpath-exception-2.0",
                              "DocumentRef-spdx:LicenseRef-x", "MIT AND (A OR (B AND C))"}) {
    EXPECT_EQ(refusal("license: \"" + std::string(license) + "\"\n"), "accepted") << license;
  }
  for (const char* license : {"The MIT License", "MIT and Apache-2.0", "MIT AND", "AND MIT", "(MIT",
                              "MIT)", "()", "MIT/X", "MIT, Apache-2.0", "MIT WITH", "WITH",
                              "MIT WITH A WITH B", "LicenseRef:x", "a_b"}) {
    EXPECT_THAT(refusal("license: \"" + std::string(license) + "\"\n"),
                HasSubstr("is no SPDX expression (bundle.yaml:1:10)"))
        << license;
  }
  EXPECT_THAT(refusal("license: \"" + std::string(100'000, '(') + "\"\n"), HasSubstr("no SPDX"));
}

TEST(Manifest, NormalizesNames) {
  EXPECT_EQ(normalized_name("SmolLM2 135M Instruct"), "smollm2-135m-instruct");
  EXPECT_EQ(normalized_name("Qwen/Qwen2.5 (7B)!"), "qwen-qwen2.5-7b");
  EXPECT_EQ(normalized_name("..--__"), "");
  EXPECT_EQ(normalized_name("模型"), "");
  EXPECT_EQ(normalized_name("a\xff"
                            "b"),
            "a-b");
  for (const char* text : {"a_.b", "X//Y", "-a-", "a . b", "日本 7B"}) {
    EXPECT_TRUE(is_valid_name(normalized_name(text))) << normalized_name(text);
  }
  EXPECT_TRUE(is_valid_name(normalized_name(std::string(500, 'x'))));
}

TEST(Manifest, SettingsUseTheSameTable) {
  JsonObject document;
  ASSERT_TRUE(apply_setting(document, "runtime.context_length=8192"));
  ASSERT_TRUE(apply_setting(document, "runtime.sampling.temperature=0"));
  ASSERT_TRUE(apply_setting(document, "runtime.chat_template=1"));
  ASSERT_TRUE(apply_setting(document, "env.A=b=c"));
  ASSERT_TRUE(apply_setting(document, "labels.org.example.team=x"));
  ASSERT_TRUE(apply_setting(document, "secrets=A,B"));
  EXPECT_EQ(document.at("runtime").at("context_length"), 8192);
  EXPECT_EQ(document.at("runtime").at("sampling").at("temperature"), 0.0);
  EXPECT_EQ(document.at("runtime").at("chat_template"), "1");
  EXPECT_EQ(document.at("env").at("A"), "b=c");
  EXPECT_EQ(document.at("labels").at("org.example.team"), "x");
  EXPECT_EQ(document.at("secrets").as_array().size(), 2u);
}

TEST(Manifest, RefusesBadSettings) {
  JsonObject document;
  const auto error = [&](const char* text) {
    const Status status = apply_setting(document, text);
    EXPECT_TRUE(status.has_error()) << text;
    EXPECT_EQ(status.error().code, ErrorCode::kUsage);
    return status.error().message();
  };
  EXPECT_THAT(error("runtime.context_lenght=1"), HasSubstr("'runtime.context_length'?"));
  EXPECT_THAT(error("context_length=1"), HasSubstr("'runtime.context_length'?"));
  EXPECT_THAT(error("runtime.threads=x"), HasSubstr("--set runtime.threads"));
  EXPECT_THAT(error("runtime=x"), HasSubstr("is a section"));
  for (const char* text :
       {"", "=", "runtime.threads", "runtime.threads=", "env=x", "zzz=1", ".=1"}) {
    error(text);
  }
  EXPECT_TRUE(document.empty());
}

TEST(Manifest, TheSchemaHoldsEveryKey) {
  const Json schema = manifest_schema();
  for (const ManifestKey& key : manifest_keys()) {
    const Json* at = &schema;
    for (std::string_view rest = key.path; !rest.empty();) {
      const std::size_t dot = std::min(rest.find('.'), rest.size());
      at = find(at->at("properties"), rest.substr(0, dot));
      ASSERT_NE(at, nullptr) << key.path;
      rest.remove_prefix(std::min(dot + 1, rest.size()));
    }
    EXPECT_EQ(at->at("description"), Json(key.about)) << key.path;
  }
  EXPECT_EQ(schema.at("additionalProperties"), false);
}

// The page and the schema in docs are printed, never written by hand: BUNDLE_UPDATE_DOCS=1 with
// this test prints them anew.
TEST(Manifest, TheDocumentationIsWhatTheTableSays) {
  const Path docs = Path(BUNDLE_SOURCE_DIR) / "docs";
  const std::pair<const char*, std::string> pages[] = {
      {"bundle-yaml.md", manifest_reference()},
      {"bundle-yaml.schema.json", pretty_json(manifest_schema())}};
  for (const auto& [name, text] : pages) {
    if (std::getenv("BUNDLE_UPDATE_DOCS") != nullptr) {
      ASSERT_TRUE(write_file_atomic(docs / name, text));
    }
    EXPECT_EQ(*read_file(docs / name), text) << name;
  }
}

// A long text must not exhaust the stack of the pattern matcher.
TEST(Manifest, RefusesALongName) {
  EXPECT_THAT(refusal("name: " + std::string(500'000, 'a') + "\n"), HasSubstr("longer than 128"));
  EXPECT_NE(refusal("secrets: [" + std::string(500'000, 'A') + "]\n"), "accepted");
}

}  // namespace
}  // namespace bundle::packager
