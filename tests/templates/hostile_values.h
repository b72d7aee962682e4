// Values that try to leave their place in a deploy file.
#pragma once

#include <string>
#include <vector>

namespace bundle::templates {

inline const std::vector<std::string>& hostile_values() {
  static const std::vector<std::string> values = {
      "plain",
      "",
      " ",
      "two words",
      "it's",
      "\"quoted\"",
      "'; touch /tmp/owned; '",
      "$(touch /tmp/owned)",
      "`touch /tmp/owned`",
      "${HOME} $HOME $$",
      "%h %% %n",
      "back\\slash\\",
      "tab\tnew\nline\n",
      "\nEnvironment=EVIL=1\n",
      "\r\n- evil: true",
      "# comment",
      "a: b",
      "- item",
      "{{ name }} {% if x %}",
      "{a: 1}",
      "[1, 2]",
      "yes",
      "No",
      "null",
      "~",
      "1e3",
      "0x10",
      "0o17",
      "12:30:45",
      "2026-01-01",
      "&anchor *alias !tag",
      "|",
      ">",
      "@at `tick",
      "--option=value",
      "-",
      "glob * ? [a-z]",
      "a;b&c|d<e>f(g)h!i^j",
      "\x01\x1f\x7f",
      "\xC2\x85next line",
      "\xE2\x80\xA8line\xE2\x80\xA9separators",
      "\xEF\xBB\xBFmark",
      "\xF0\x9F\x98\x80 \xE6\xBC\xA2\xE5\xAD\x97",
      std::string(5000, 'x'),
  };
  return values;
}

}  // namespace bundle::templates
