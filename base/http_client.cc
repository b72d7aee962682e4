#include "base/http_client.h"

#include <algorithm>
#include <cctype>
#include <curl/curl.h>
#include <memory>

namespace bundle {
namespace {

/// One exchange as libcurl's callbacks see it.
struct Exchange {
  CURL* handle = nullptr;
  const HttpRequest* request = nullptr;
  const OnHttpData* on_data = nullptr;
  HttpResponse response;
  bool stopped = false;
  bool too_large = false;

  bool streams() {
    long status = 0;
    ::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return on_data != nullptr && status >= 200 && status < 300;
  }
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

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return std::string(text);
}

std::size_t take_header(char* bytes, std::size_t, std::size_t n, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::string_view line(bytes, n);
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

void configure(CURL* handle, const HttpRequest& request, const curl_slist* headers,
               Exchange& exchange) {
  ::curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  ::curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  ::curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(handle, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
  ::curl_easy_setopt(handle, CURLOPT_USERAGENT, "bundle/0.1");
  ::curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(request.connect_timeout.count()));
  ::curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  if (!request.body.empty() || request.method == "POST") {
    ::curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
    ::curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
  }
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
  return {ErrorCode::kUnreachable, std::string("no answer: ") + ::curl_easy_strerror(code), url,
          "Is the server running, and is the address right?"};
}

}  // namespace

Result<HttpResponse> http_stream(const HttpRequest& request, const OnHttpData& on_data) {
  static const CURLcode initialised = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  const Handle handle(::curl_easy_init());
  if (initialised != CURLE_OK || !handle) return failed("cannot start the HTTP client");
  Exchange exchange;
  exchange.handle = handle.get();
  exchange.request = &request;
  exchange.on_data = on_data ? &on_data : nullptr;
  const HeaderList headers = header_list(request);
  configure(handle.get(), request, headers.get(), exchange);
  const CURLcode code = ::curl_easy_perform(handle.get());
  if (code != CURLE_OK) return transport_error(code, exchange);
  long status = 0;
  ::curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  exchange.response.status = static_cast<int>(status);
  return std::move(exchange.response);
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
