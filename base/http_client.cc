#include "base/http_client.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <curl/curl.h>

#include "base/ca_file.h"
#include "base/environment.h"

namespace bundle {
namespace {

/// One exchange as libcurl's callbacks see it.
struct Exchange {
  const HttpRequest* request = nullptr;
  const OnHttpData* on_data = nullptr;
  const OnHttpHead* on_head = nullptr;
  HttpResponse response;
  bool stopped = false;
  bool too_large = false;

  bool streams() const { return *on_data && response.status >= 200 && response.status < 300; }
};

std::size_t take_body(char* bytes, std::size_t, std::size_t n, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  if (exchange.streams()) {
    exchange.stopped = !(*exchange.on_data)(std::string_view(bytes, n));
    return exchange.stopped ? 0 : n;
  }
  exchange.too_large = n > exchange.request->max_body - exchange.response.body.size();
  if (exchange.too_large) return 0;
  exchange.response.body.append(bytes, n);
  return n;
}

std::size_t give_body(char* buffer, std::size_t, std::size_t room, void* context) {
  return static_cast<Exchange*>(context)->request->fill_body(buffer, room);
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return std::string(text);
}

/// "HTTP/1.1 206 Partial Content" -> 206; 0 for another line.
int status_of(std::string_view line) {
  if (!line.starts_with("HTTP/")) return 0;
  const std::size_t blank = line.find(' ');
  int status = 0;
  if (blank != std::string_view::npos && blank + 4 <= line.size()) {
    std::from_chars(line.data() + blank + 1, line.data() + blank + 4, status);
  }
  return status;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t n, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::string_view line(bytes, n);
  if (const int status = status_of(line); status != 0) {
    exchange.response.headers.clear();  // of an interim answer before this one
    exchange.response.status = status;
    return n;
  }
  if (trimmed(line).empty() && exchange.response.status >= 200 && *exchange.on_head) {
    exchange.stopped = !(*exchange.on_head)(exchange.response);
    return exchange.stopped ? 0 : n;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return n;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  exchange.response.headers.emplace_back(std::move(name), trimmed(line.substr(colon + 1)));
  return n;
}

struct Deleter {
  void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

using Handle = std::unique_ptr<CURL, Deleter>;
using HeaderList = std::unique_ptr<curl_slist, Deleter>;

HeaderList header_list(const HttpRequest& request) {
  curl_slist* list = ::curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : request.headers) {
    list = ::curl_slist_append(list, (name + ": " + value).c_str());
  }
  return HeaderList(list);
}

int ask_whether_to_go_on(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.request->keep_going()) return 0;
  exchange.stopped = true;
  return 1;
}

void configure_progress(CURL* handle, const HttpRequest& request, Exchange& exchange) {
  if (!request.keep_going) return;
  ::curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  ::curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, ask_whether_to_go_on);
  ::curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &exchange);
}

void configure_tls(CURL* handle, const HttpRequest& request) {
  if (!request.client_cert_file.empty()) {
    ::curl_easy_setopt(handle, CURLOPT_SSLCERT, request.client_cert_file.c_str());
    ::curl_easy_setopt(handle, CURLOPT_SSLKEY, request.client_key_file.c_str());
  }
  if (!request.insecure) return;
  ::curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
  ::curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
}

void configure_body(CURL* handle, const HttpRequest& request, Exchange& exchange) {
  if (request.method == "HEAD") ::curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  if (request.fill_body) {
    ::curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    ::curl_easy_setopt(handle, CURLOPT_READFUNCTION, give_body);
    ::curl_easy_setopt(handle, CURLOPT_READDATA, &exchange);
    ::curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE,
                       static_cast<curl_off_t>(request.body_size));
    ::curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
             request.method == "PATCH") {
    ::curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
    ::curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
  }
}

void configure_transport(CURL* handle, const HttpRequest& request) {
  const std::string own = from_environment({"no_proxy", "NO_PROXY"});
  const std::string no_proxy = "localhost,127.0.0.1,::1" + (own.empty() ? "" : ',' + own);
  ::curl_easy_setopt(handle, CURLOPT_NOPROXY, own == "*" ? "*" : no_proxy.c_str());
  ::curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  const std::string ca = request.ca_file.empty() ? system_ca_file() : request.ca_file;
  if (!ca.empty()) ::curl_easy_setopt(handle, CURLOPT_CAINFO, ca.c_str());
  ::curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(request.connect_timeout.count()));
  ::curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  if (request.stall_timeout.count() > 0) {
    ::curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    ::curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                       static_cast<long>(request.stall_timeout.count()));
  }
}

void configure(CURL* handle, const HttpRequest& request, const curl_slist* headers,
               Exchange& exchange) {
  ::curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  ::curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(handle, CURLOPT_USERAGENT, "bundle/0.1");
  ::curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10);
  configure_transport(handle, request);
  configure_body(handle, request, exchange);
  ::curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  configure_tls(handle, request);
  configure_progress(handle, request, exchange);
  ::curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  ::curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
  ::curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
  ::curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
}

Error transport_error(CURLcode code, const Exchange& exchange) {
  const std::string& url = exchange.request->url;
  if (exchange.stopped) return {ErrorCode::kInterrupted, "the request was stopped", url};
  if (exchange.too_large) {
    return bad_input(
        "the answer is larger than " + std::to_string(exchange.request->max_body) + " bytes", url);
  }
  const bool is_certificate = code == CURLE_PEER_FAILED_VERIFICATION ||
                              code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CONNECT_ERROR;
  return {ErrorCode::kUnreachable, std::string("no answer: ") + ::curl_easy_strerror(code), url,
          is_certificate
              ? "Is this host's certificate signed by an authority that is trusted here? "
                "SSL_CERT_FILE names a file with others."
              : "Is the server running, and is the address right?"};
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

struct HttpClient::State {
  Handle handle{::curl_easy_init()};
};

HttpClient::HttpClient() {
  static const CURLcode initialised = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised == CURLE_OK) state_ = std::make_unique<State>();
}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::send(const HttpRequest& request, const OnHttpData& on_data,
                                      const OnHttpHead& on_head) {
  if (!state_ || !state_->handle) return failed("cannot start the HTTP client");
  CURL* handle = state_->handle.get();
  Exchange exchange{&request, &on_data, &on_head, {}, false, false};
  const HeaderList headers = header_list(request);
  ::curl_easy_reset(handle);  // keeps the connections
  configure(handle, request, headers.get(), exchange);
  const CURLcode code = ::curl_easy_perform(handle);
  if (code != CURLE_OK) return transport_error(code, exchange);
  return std::move(exchange.response);
}

Result<HttpResponse> http_stream(const HttpRequest& request, const OnHttpData& on_data) {
  return HttpClient().send(request, on_data);
}

Result<HttpResponse> http_request(const HttpRequest& request) { return http_stream(request, {}); }

bool EventStreamParser::push(std::string_view piece,
                             const std::function<bool(std::string_view data)>& on_event) {
  for (const char c : piece) {
    if (c != '\n') {
      line_ += c;
      continue;
    }
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    if (line_.rfind("data:", 0) == 0) {
      if (has_data_) data_ += '\n';
      data_ += line_.substr(line_.size() > 5 && line_[5] == ' ' ? 6 : 5);
      has_data_ = true;
    } else if (line_.empty() && has_data_) {
      const std::string data = std::move(data_);
      data_.clear();
      has_data_ = false;
      line_.clear();
      if (!on_event(data)) return false;
    }
    line_.clear();
  }
  return true;
}

}  // namespace bundle
