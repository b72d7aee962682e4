// The subcommands, one file each: add_X declares X's options and what it runs.
#pragma once

#include "cli/session.h"

namespace bundle::cli {

void add_bench(CLI::App& app, Session& session);
void add_build(CLI::App& app, Session& session);
void add_catalog(CLI::App& app, Session& session);
void add_chat(CLI::App& app, Session& session);
void add_completion(CLI::App& app, Session& session);
void add_delete(CLI::App& app, Session& session);
void add_deploy(CLI::App& app, Session& session);
void add_diff(CLI::App& app, Session& session);
void add_doctor(CLI::App& app, Session& session);
void add_du(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_fsck(CLI::App& app, Session& session);
void add_gc(CLI::App& app, Session& session);
void add_import(CLI::App& app, Session& session);
void add_gateway(CLI::App& app, Session& session);
void add_init(CLI::App& app, Session& session);
void add_inspect(CLI::App& app, Session& session);
void add_key(CLI::App& app, Session& session);
void add_keygen(CLI::App& app, Session& session);
void add_list(CLI::App& app, Session& session);
void add_logs(CLI::App& app, Session& session);
void add_mirror(CLI::App& app, Session& session);
void add_promote(CLI::App& app, Session& session);
void add_prompt(CLI::App& app, Session& session);
void add_pull(CLI::App& app, Session& session);
void add_push(CLI::App& app, Session& session);
void add_rm(CLI::App& app, Session& session);
void add_rollback(CLI::App& app, Session& session);
void add_scale(CLI::App& app, Session& session);
void add_serve(CLI::App& app, Session& session);
void add_size(CLI::App& app, Session& session);
void add_sign(CLI::App& app, Session& session);
void add_status(CLI::App& app, Session& session);
void add_tokenize(CLI::App& app, Session& session);
void add_upgrade(CLI::App& app, Session& session);
void add_verify(CLI::App& app, Session& session);
void add_simulate(CLI::App& app, Session& session);
void add_update(CLI::App& app, Session& session);
void add_version(CLI::App& app, Session& session);

/// What `bundle version` and `bundle --version` say.
Outcome version_outcome();

}  // namespace bundle::cli
