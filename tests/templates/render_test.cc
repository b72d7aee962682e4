#include "templates/render.h"

#include <gtest/gtest.h>

#include "packager/yaml.h"
#include "tests/templates/hostile_values.h"

namespace bundle::templates {
namespace {

std::string rendered(std::string_view name, std::string_view text, const JsonObject& values) {
  const auto result = render_text(name, text, values);
  return result ? *result : "error: " + result.error().message();
}

TEST(Render, PutsValuesAndFollowsConditionsAndLoops) {
  const JsonObject values{{"name", "a b"},
                          {"n", 3},
                          {"on", true},
                          {"off", false},
                          {"list", JsonArray{JsonObject{{"x", 1}}, JsonObject{{"x", 2}}}}};
  EXPECT_EQ(rendered("t.yaml", "name: {{ name }}\nn: {{n}}\n", values), "name: \"a b\"\nn: 3\n");
  EXPECT_EQ(rendered("t.yaml", "{% if on %}\na: 1\n{% else %}\nb: 1\n{% end %}\n", values),
            "a: 1\n");
  EXPECT_EQ(rendered("t.yaml", "{% if not on %}\na: 1\n{% else %}\nb: 1\n{% end %}\n", values),
            "b: 1\n");
  EXPECT_EQ(rendered("t.yaml", "{% if off %}\na: 1\n{% end %}\n", values), "");
  EXPECT_EQ(rendered("t.yaml", "{% for i in list %}\n- {{ i.x }}\n{% end %}\n", values),
            "- 1\n- 2\n");
  EXPECT_EQ(
      rendered("t.yaml", "{% for i in list %}\n{% if on %}\n- {{ i.x }}\n{% end %}\n{% end %}\n",
               values),
      "- 1\n- 2\n");
}

TEST(Render, MapsAndListsBecomeBlocks) {
  const JsonObject values{{"labels", JsonObject{{"a", "b"}, {"c d", 1}}}, {"none", JsonObject{}}};
  EXPECT_EQ(rendered("t.yaml", "  labels: {{ labels }}\n  x: {{ none }}\n", values),
            "  labels:\n    a: b\n    \"c d\": 1\n  x: {}\n");
}

TEST(Render, FaultsOfATemplateNameTheLine) {
  for (const char* text :
       {"a: {{ missing }}\n", "a: {{ name\n", "{% if name %}\n", "{% end %}\n", "{% what %}\n",
        "{% for x in name %}\n{% end %}\n", "{% include no/such.yaml %}\n", "a: x{{ name }}\n",
        "a: {{ name }}y\n", "a: \"{{ name }}\"\n"}) {
    const std::string result = rendered("t.yaml", text, {{"name", "v"}});
    EXPECT_EQ(result.rfind("error: ", 0), 0u) << text << result;
    EXPECT_NE(result.find("line "), std::string::npos) << result;
  }
  EXPECT_NE(rendered("t.sh", "echo \"{{ name }}\"\n", {{"name", "v"}}).find("quotes"),
            std::string::npos);
  EXPECT_NE(rendered("t.unknown", "", {}).find("language"), std::string::npos);
}

TEST(Render, HostileValuesStayOneYamlValue) {
  for (const std::string& value : hostile_values()) {
    if (value.size() > 1000) continue;  // YAML's keys hold 1024 characters
    const std::string text =
        rendered("t.yaml", "first: {{ v }}\nlist:\n  - {{ v }}\nmap: {{ m }}\nlast: 1\n",
                 {{"v", value}, {"m", JsonObject{{value, value}}}});
    const auto root = packager::parse_yaml(text, "test");
    ASSERT_TRUE(root) << root.error().message() << "\n" << text;
    ASSERT_EQ(root->members.size(), 4u) << text;
    EXPECT_EQ(root->members[0].value.text, value);
    EXPECT_EQ(root->members[1].value.items.at(0).text, value);
    EXPECT_EQ(root->members[2].value.members.at(0).key.text, value);
    EXPECT_EQ(root->members[2].value.members.at(0).value.text, value);
  }
}

TEST(Render, HostileValuesStayOneJsonValue) {
  for (const std::string& value : hostile_values()) {
    const std::string text =
        rendered("t.json", "{\"a\": {{ v }}, \"b\": [{{ v }}]}\n", {{"v", value}});
    const auto root = parse_json(text, "test");
    ASSERT_TRUE(root) << root.error().message() << "\n" << text;
    std::string read(root->at("a").get_string());
    for (const char* mark : {"$${", "%%{"}) {
      for (std::size_t at = 0; (at = read.find(mark, at)) != std::string::npos; ++at) {
        read.erase(at, 1);  // as Terraform does
      }
    }
    EXPECT_EQ(read, value);
  }
}

TEST(Render, HostileValuesAddNoLineToAUnit) {
  for (const std::string& value : hostile_values()) {
    const auto environment =
        render_text("t.service", "[Service]\nEnvironment={{ v }}\n", {{"v", "A=" + value}});
    if (environment.has_error()) {
      EXPECT_NE(environment.error().message().find("control character"), std::string::npos);
      continue;
    }
    EXPECT_EQ(std::count(environment->begin(), environment->end(), '\n'), 2) << *environment;
    const auto plain = render_text("t.service", "MemoryMax={{ v }}\n", {{"v", value}});
    if (plain) {
      EXPECT_EQ(*plain, "MemoryMax=" + value + "\n");
    }
  }
}

TEST(Render, CommentsOfAScriptTakeBareWordsAlone) {
  EXPECT_EQ(rendered("t.sh", "#SBATCH --job-name={{ v }}\n", {{"v", "a-1"}}),
            "#SBATCH --job-name=a-1\n");
  for (const char* value : {"a b", "a\nrm -rf /", "$(x)", "\"a\""}) {
    EXPECT_TRUE(render_text("t.sh", "#SBATCH --job-name={{ v }}\n", {{"v", value}}).has_error());
  }
}

TEST(Render, EveryBuiltInTemplateHasALanguage) {
  ASSERT_FALSE(deploy_template_names().empty());
  for (const std::string& name : deploy_template_names()) {
    const auto result = render(name, {});
    if (result.has_error()) {
      EXPECT_EQ(result.error().message().find("language"), std::string::npos) << name;
    }
  }
  EXPECT_NE(render("systemd/bundle.servic", {}).error().remedy.find("bundle.service"),
            std::string::npos);
}

}  // namespace
}  // namespace bundle::templates
