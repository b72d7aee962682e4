// Ctrl-C: the first one asks the work to stop cleanly, the second ends the program.
#pragma once

namespace bundle::cli {

/// Installs the handlers of SIGINT and SIGTERM.
void watch_interrupts();

/// A signal came. Thread-safe.
bool interrupted();

}  // namespace bundle::cli
