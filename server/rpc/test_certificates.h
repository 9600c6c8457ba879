// Certificates for tests, made with the openssl command.

#ifndef WEFT_SERVER_RPC_TEST_CERTIFICATES_H_
#define WEFT_SERVER_RPC_TEST_CERTIFICATES_H_

#include <string>

#include "server/rpc/tls_files.h"

namespace weft {

// Makes `<name>.pem` and `<name>.key` in a folder, which it does not own. Fails the test if
// openssl does.
class TestCertificates {
 public:
  explicit TestCertificates(const std::string& folder) : folder_(folder) {}

  // One that can sign others.
  void MakeAuthority(const std::string& name) const;
  // `names`: what subjectAltName holds, `IP:127.0.0.1` say.
  void Sign(const std::string& authority, const std::string& name, const std::string& common_name,
            const std::string& names) const;

  // Shows `name`, and believes what `authority` signs.
  TlsFiles Files(const std::string& name, const std::string& authority) const;
  std::string Text(const std::string& file) const;

 private:
  void Shell(const std::string& command) const;
  std::string Path(const std::string& file) const { return folder_ + "/" + file; }

  const std::string folder_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_TEST_CERTIFICATES_H_
