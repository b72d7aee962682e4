// The one place where answers and errors are printed.
#pragma once

#include "cli/session.h"

namespace bundle::cli {

/// Prints an outcome to standard output; the exit code. A reader that has gone is no failure.
int report(const Outcome& outcome, bool json);

/// Prints an error: text to standard error, or a document to standard output; the exit code.
int report(const Error& error, bool json);

/// {"error":{"code","message","where","remedy"}}.
Json error_document(const Error& error);

}  // namespace bundle::cli
