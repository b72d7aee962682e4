// Readers of one tool call each, in the forms that models write them. All take one byte at a time,
// so what comes out can not depend on how the text was cut.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "runtime/chat/answer_piece.h"

namespace bundle::chat {

/// Not thread-safe.
class CallReader {
 public:
  enum class Step {
    kMore,
    kDone,    // the call is complete with this byte
    kNoCall,  // this is no call; nothing of it is in the pieces
  };
  virtual ~CallReader() = default;
  /// Appends kCall once the name is known, then kArguments.
  virtual Step push(char byte, AnswerPieces& pieces) = 0;
  /// The output ended inside the call. False when the name is still not known.
  virtual bool finish(AnswerPieces& pieces) = 0;
};

/// `{"name": …, "arguments": {…}}`; the arguments may be called parameters and may come first.
std::unique_ptr<CallReader> json_call_reader(std::size_t index);

/// How the text around a name and its arguments looks. The arguments are the first JSON value after
/// the name; what else stands there ("```json") is left out.
struct NamedCallSyntax {
  std::string type_end = {};                // ends what stands before the name, or ""
  std::vector<std::string> name_ends = {};  // end the name; "{" begins the arguments, too
  std::string call_end = {};                // "": the call ends with its arguments
  bool name_is_id = false;                  // "functions.NAME:0" holds both
  std::string id_begin = {};                // of name_ends: an id follows, up to another
};
std::unique_ptr<CallReader> named_call_reader(NamedCallSyntax syntax, std::size_t index);

/// `<function=NAME><parameter=KEY>VALUE</parameter>…</function>`. `tools` (an array, as requests
/// have them) gives the parameters' types: what is no string is handed on as JSON.
std::unique_ptr<CallReader> xml_call_reader(std::shared_ptr<const JsonArray> tools,
                                            std::size_t index);

/// `NAME.call(KEY="VALUE", …)`, Llama's form for built-in tools; it ends with the output.
std::unique_ptr<CallReader> builtin_call_reader(std::size_t index);

}  // namespace bundle::chat
