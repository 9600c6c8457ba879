#include "server/rpc/test_certificates.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

constexpr char kNewKey[] = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ";

}  // namespace

void TestCertificates::Shell(const std::string& command) const {
  const std::string line = absl::StrCat("cd ", folder_, " && { ", command, "; } >log 2>&1");
  EXPECT_EQ(std::system(line.c_str()), 0) << line << "\n" << Text("log");
}

void TestCertificates::MakeAuthority(const std::string& name) const {
  Shell(absl::StrCat("openssl req -x509 -days 1 ", kNewKey, name, ".key -out ", name,
                     ".pem -subj /CN=", name));
}

void TestCertificates::Sign(const std::string& authority, const std::string& name,
                            const std::string& common_name, const std::string& names) const {
  std::ofstream(Path("extensions")) << "subjectAltName=" << names << "\n";
  Shell(absl::StrCat("openssl req ", kNewKey, name, ".key -out request -subj /CN=", common_name,
                     " && openssl x509 -req -in request -CA ", authority, ".pem -CAkey ", authority,
                     ".key -CAcreateserial -days 1 -extfile extensions -out ", name, ".pem"));
}

TlsFiles TestCertificates::Files(const std::string& name, const std::string& authority) const {
  return {Path(name + ".pem"), Path(name + ".key"), Path(authority + ".pem")};
}

std::string TestCertificates::Text(const std::string& file) const {
  std::ostringstream text;
  text << std::ifstream(Path(file)).rdbuf();
  return text.str();
}

}  // namespace weft
