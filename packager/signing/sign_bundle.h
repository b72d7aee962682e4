// `bundle sign` and `bundle verify`.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "packager/signing/ec_key.h"
#include "packager/signing/trust.h"

namespace bundle::packager::signing {

struct SignReport {
  std::string name;  // "smollm2:latest", or the folder
  std::string digest;
  std::string key_hint;
  std::size_t num_files = 0;
  std::vector<std::string> signatures;  // digests of the manifests that hold them
};

/// Signs a bundle of the store twice: its model files and its digest as OpenSSF Model Signing, and
/// the index and each manifest as cosign does, under `identity` ("" takes the bundle's name).
/// Signing again with the same key replaces that key's signatures.
Result<SignReport> sign_bundle(Store& store, const StoredBundle& bundle, const PrivateKey& key,
                               const std::string& identity);

/// The text of a signature over the files of a folder or one file; `signature` is where it is going
/// to lie, and is left out when that is inside.
Result<std::string> sign_folder(const Path& folder, const Path& signature, const PrivateKey& key,
                                const Progress& progress);

/// Checks such a file: the key made it, and the folder holds exactly what was signed.
Result<ModelStatement> verify_folder(const Path& folder, const Path& signature,
                                     const PublicKey& key, const Progress& progress);

/// The same signature against the model files of a bundle.
Result<ModelStatement> verify_files(const StoredBundle& bundle, const Path& signature,
                                    const PublicKey& key);

}  // namespace bundle::packager::signing
