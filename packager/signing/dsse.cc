#include "packager/signing/dsse.h"

#include <algorithm>
#include <initializer_list>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/json.h"

namespace bundle::packager::signing {
namespace {

Error refuse(const std::string& what, const std::string& where) {
  return bad_input("not a signature that this program accepts: " + what, where);
}

/// An object with no member but these.
Result<JsonObject> object_of(const Json* value, const char* name,
                             std::initializer_list<std::string_view> known,
                             const std::string& where) {
  const JsonObject* object = value == nullptr ? nullptr : value->if_object();
  if (object == nullptr) return refuse(std::string("'") + name + "' is no object", where);
  for (const auto& [key, unused] : *object) {
    if (std::ranges::find(known, std::string_view(key)) == known.end()) {
      return refuse("'" + std::string(name) + "' has an unknown member '" + std::string(key) + "'",
                    where);
    }
  }
  return *object;
}

Result<std::string> key_hint(const Json* material, const std::string& where) {
  if (material != nullptr && (find(*material, "certificate") != nullptr ||
                              find(*material, "x509CertificateChain") != nullptr)) {
    return refuse("it is made with a certificate, and only keys are trusted here", where);
  }
  BUNDLE_TRY(const Json object,
             object_of(material, "verificationMaterial",
                       {"publicKey", "tlogEntries", "timestampVerificationData"}, where));
  BUNDLE_TRY(const Json key,
             object_of(find(object, "publicKey"), "publicKey", {"hint", "rawBytes"}, where));
  return get_string_or(key, "hint", "", where);
}

}  // namespace

std::string pre_authentication(std::string_view type, std::string_view payload) {
  std::string text = "DSSEv1 " + std::to_string(type.size()) + ' ';
  text.append(type).append(" ").append(std::to_string(payload.size())).append(" ");
  return text.append(payload);
}

Result<std::string> sign_statement(const std::string& payload, const PrivateKey& key) {
  BUNDLE_TRY(const std::string signature,
             key.sign(pre_authentication(kStatementType, payload), SignatureHash::kByCurve));
  JsonArray signatures{JsonObject{{"sig", base64_encode(signature)}, {"keyid", ""}}};
  return pretty_json(
      JsonObject{{"mediaType", kSigstoreBundleType},
                 {"verificationMaterial",
                  JsonObject{{"publicKey", JsonObject{{"hint", key.public_key().hint()}}},
                             {"tlogEntries", JsonArray()}}},
                 {"dsseEnvelope", JsonObject{{"payload", base64_encode(payload)},
                                             {"payloadType", kStatementType},
                                             {"signatures", std::move(signatures)}}}});
}

Result<SignedStatement> read_signed_statement(std::string_view text, const std::string& where) {
  if (text.size() > kMostSignatureBytes) return refuse("it is too large", where);
  BUNDLE_TRY(const Json document, parse_json(text, where));
  BUNDLE_TRY(
      const Json bundle,
      object_of(&document, "bundle", {"mediaType", "verificationMaterial", "dsseEnvelope"}, where));
  BUNDLE_TRY(const std::string media_type, get_string(bundle, "mediaType", where));
  if (media_type != kSigstoreBundleType) return refuse("its media type is another", where);
  SignedStatement statement;
  BUNDLE_TRY(statement.key_hint, key_hint(find(bundle, "verificationMaterial"), where));
  BUNDLE_TRY(const Json envelope, object_of(find(bundle, "dsseEnvelope"), "dsseEnvelope",
                                            {"payload", "payloadType", "signatures"}, where));
  BUNDLE_TRY(const std::string type, get_string(envelope, "payloadType", where));
  if (type != kStatementType) return refuse("its payload type is another", where);
  const Json* signatures = find(envelope, "signatures");
  if (signatures == nullptr || !signatures->is_array() || signatures->get_array().size() != 1) {
    return refuse("it does not hold exactly one signature", where);
  }
  BUNDLE_TRY(const Json one,
             object_of(&signatures->get_array()[0], "signatures", {"sig", "keyid"}, where));
  BUNDLE_TRY(const std::string signature, get_string(one, "sig", where));
  BUNDLE_TRY(statement.signature, base64_decode(signature, where + " signatures"));
  BUNDLE_TRY(const std::string payload, get_string(envelope, "payload", where));
  BUNDLE_TRY(statement.payload, base64_decode(payload, where + " payload"));
  return statement;
}

bool is_signed_by(const SignedStatement& statement, const PublicKey& key) {
  return key.verify(pre_authentication(kStatementType, statement.payload), statement.signature,
                    SignatureHash::kByCurve);
}

}  // namespace bundle::packager::signing
