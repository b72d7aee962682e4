// The OpenAI-compatible HTTP server over one engine: start it, give it a model, drain it.
//
// It answers from the moment start() returns: probes at once, API calls with 503 and Retry-After
// until set_model() was called and the engine is ready.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/prompt.h"
#include "runtime/chat/tool_parser.h"
#include "runtime/engine/client.h"
#include "runtime/format/model_config.h"
#include "runtime/server/api_key.h"
#include "runtime/server/autoscaler.h"
#include "runtime/server/webhook.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::server {

/// Bounds on what one client, and all of them together, can take. Over a bound the answer names it.
struct ServerLimits {
  std::size_t header_bytes = 16u << 10;  // request line and fields; 431 above
  std::size_t body_bytes = 16u << 20;    // 413 above, before the body is read
  std::size_t connections = 4096;        // open at once; above, the longest idle one is closed
  std::size_t pending_bytes = 1u << 20;  // output that a slow reader leaves unread; then cut
  std::int64_t queued_requests = 512;    // waiting for the engine; 503 with Retry-After above
  std::int64_t choices = 128;            // n, and prompts in one batch times n
  std::size_t stop_strings = 16;         // of 1024 bytes each
  std::int64_t logprobs = 20;            // candidates reported beside each token
  std::int64_t embedding_inputs = 2048;  // of one request
  std::int64_t embeddings_at_once = 32;  // of one request's inputs with the engine
  std::chrono::milliseconds header_timeout{10'000};  // from the first byte to the blank line; 408
  std::chrono::milliseconds body_timeout{60'000};    // to the body's last byte; 408
  std::chrono::milliseconds idle_timeout{75'000};    // between requests of one connection
  std::chrono::milliseconds write_timeout{30'000};   // a client that takes no byte for so long
};

/// PEM files. Without a certificate there is no TLS; with a client CA only clients that show a
/// certificate of it are let in.
struct TlsFiles {
  std::string certificate;  // a chain, the server's own first
  std::string key;
  std::string client_ca;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  /// Probes and metrics without a key; 0: any free one, none: no such port.
  std::optional<std::uint16_t> admin_port;
  std::string admin_host = "127.0.0.1";
  /// Sockets that listen already, instead of the above; the server owns them.
  std::optional<int> socket;
  std::optional<int> admin_socket;
  /// Any of them opens the API (`Authorization: Bearer …`); empty: no key is asked for.
  std::vector<ApiKey> api_keys;
  /// Origins that browsers may call from ("*" for all); empty: no CORS header is sent.
  std::vector<std::string> cors_origins;
  ServerLimits limits;
  /// TLS of the public port, when a certificate is named. The admin port never has it.
  TlsFiles tls;
  std::string access_log;     // a file, "-" for standard error, "" for none
  std::string otlp_endpoint;  // of a collector that takes spans over HTTP; "": no traces
  bool page = true;           // the page at "/"
  ScalingOptions scaling;
  WebhookOptions webhook;
  /// The most that one request may take from its arrival to its last token, and what requests get
  /// that name no time; 0: none.
  std::chrono::milliseconds request_timeout{0};
  std::chrono::milliseconds drain_timeout{30'000};  // what runs longer is ended with its last event
  std::chrono::milliseconds keep_alive_interval{15'000};  // comments in a stream that waits
  std::chrono::milliseconds stall_timeout{120'000};  // no step with work to do: /health says so
  std::string version = "0.1.0";                     // of the product
};

/// What is served. A model without tokenizer takes and gives token ids only; one without chat
/// template refuses /v1/chat/completions by name.
struct ServedModel {
  std::string name;
  std::string content_digest;  // of the bundle; system_fingerprint is made from it
  std::int64_t created = 0;    // seconds since 1970; 0: now
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::optional<chat::ChatTemplate> chat_template;
  std::string template_source;  // its text
  /// bos_token, eos_token and whatever else of tokenizer_config.json the template may name.
  JsonObject template_variables;
  chat::PromptStyle prompt_style;                          // reasoning, and whether it is on
  chat::ToolFormat tool_format = chat::ToolFormat::kNone;  // how the model writes tool calls
  bool shows_tools = true;                                 // its template has a place for them
  std::string architecture;
  std::int32_t vocab_size = 0;             // ids below it are taken; 0: the tokenizer's
  std::int64_t max_context = 0;            // prompt and output; 0: what the engine's stats say
  std::int64_t hidden_size = 0;            // numbers of an embedding; 0: the model gives none
  format::SamplingDefaults sampling;       // the publisher's, overridden by the bundle's
  std::optional<std::int64_t> max_tokens;  // of requests that name none; none: rest of the context
};

/// Sockets, threads and all. Thread-safe.
class HttpServer {
 public:
  /// Binds and answers. kUnreachable when an address is taken or not ours; kUsage on bad options.
  static Result<std::unique_ptr<HttpServer>> start(ServerOptions options,
                                                   std::shared_ptr<engine::EngineClient> engine);
  /// Stops at once.
  ~HttpServer();

  /// From now on requests are served. May be called again to replace the model.
  void set_model(ServedModel model);
  /// From now on these keys are accepted; requests under way go on.
  void set_api_keys(std::vector<ApiKey> keys);
  /// From now on new connections get these. An error, and nothing changes, when they are no good.
  Status set_tls(const TlsFiles& files);

  struct State {
    bool ready = false;
    bool alive = true;
    std::string word;  // "ready", "loading", "draining", …
  };
  State state() const;

  std::uint16_t port() const;
  std::uint16_t admin_port() const;  // 0: none

  /// /ready is 503, idle connections close, new generations are refused, running ones go on
  /// until the drain timeout. Returns at once; wait() returns when it is over.
  void begin_drain();
  /// When nobody asked for anything for so long: takes no further connection and returns true; who
  /// connects then waits in the socket's own queue, for whoever else holds it. Else false, and
  /// nothing changes. Takes a tenth of a second at most.
  bool close_if_idle(std::chrono::seconds idle);
  /// Blocks until a drain is over or stop() was called. True when all requests finished in time.
  bool wait();
  /// Cuts every connection and ends the threads. Not from a callback of the engine's.
  void stop();

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bundle::server
