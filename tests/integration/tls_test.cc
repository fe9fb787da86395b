// Both sides over TLS, their certificates verified: the log, the copy, and what checks and plans.
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "tests/integration/system_test.h"

namespace pgflow::tests {
namespace {

// For 127.0.0.1, until 2120; signed by itself.
constexpr const char* kCertificate = R"pem(-----BEGIN CERTIFICATE-----
MIIBWzCCAQKgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAkxMjcuMC4w
LjEwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CTEyNy4wLjAuMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABE2dZQoLErabQ5eH
U1DaJfb3QSXeALIrvfomILQaWYGsI0WyW7iXzW/64kXiFArCasomzkPiliA5SYXn
dAcN3najQzBBMA8GA1UdEQQIMAaHBH8AAAEwDwYDVR0TAQH/BAUwAwEB/zAdBgNV
HQ4EFgQUhpc49MAMvVxhDwzeQyT6HaMAUwQwCgYIKoZIzj0EAwIDRwAwRAIgS2Q1
rkGg3rQfYLtzJXyR73c4PwjTDOCTOqvtUd1LzVwCIBHTyLdxs9JYiQ8+ouJy3TaU
3n1ax80YntPpJBqUpWHm
-----END CERTIFICATE-----
)pem";
constexpr const char* kKey = R"pem(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4I+bn4p7/4hl+C41
dABqP0cQubHhQR5spWPp0DKvAUShRANCAARNnWUKCxK2m0OXh1NQ2iX290El3gCy
K736JiC0GlmBrCNFslu4l81v+uJF4hQKwmrKJs5D4pYgOUmF53QHDd52
-----END PRIVATE KEY-----
)pem";
// Somebody else's.
constexpr const char* kStranger = R"pem(-----BEGIN CERTIFICATE-----
MIIBXDCCAQKgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAkxMjcuMC4w
LjEwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CTEyNy4wLjAuMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFgIWnMTShgbNUOj
AevjLIv5SdYw0KOMPd19GAI/yLVTb4QJ/Pqk1U82979tns8FvbQbyv6Qww1eaQrX
ZfW5+3GjQzBBMA8GA1UdEQQIMAaHBH8AAAEwDwYDVR0TAQH/BAUwAwEB/zAdBgNV
HQ4EFgQUEgqfUfysyjlGiYOjeni2rN2U1Y8wCgYIKoZIzj0EAwIDSAAwRQIhAM5J
7QK4qkhw1ePY9YfwhrTQtx1vn39EtZsKDO3cZ6JyAiAS41wzc63bMrj0IFiaK523
6zeyv3K3SDHNMBnVNx8VVw==
-----END CERTIFICATE-----
)pem";

class TlsTest : public SharedServerTest {
 protected:
  static void SetUpTestSuite() {
    SharedServerTest::SetUpTestSuite();
    ASSERT_NE(shared_server, nullptr);
    has_tls = !shared_server->QueryValue("SHOW ssl_library").value_or("").empty();
    if (!has_tls) return;
    WriteServerFile("server.crt", kCertificate);
    WriteServerFile("server.key", kKey);
    WriteServerFile("pg_hba.conf",
                    "local all all trust\n"  // The tests' own sessions.
                    "hostssl all all 127.0.0.1/32 trust\n"
                    "hostssl replication all 127.0.0.1/32 trust\n");
    ASSERT_TRUE(shared_server->Configure("ssl", "on").ok());
    ASSERT_TRUE(shared_server->Restart().ok());
  }

  void SetUp() override {
    if (!has_tls) GTEST_SKIP() << "this server was built without TLS";
    SharedServerTest::SetUp();
    Trust(kCertificate);
    source_.Execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i, repeat(md5(i::text), i / 10) FROM generate_series(1, 2000) i");
  }

  // Of the server's user, who alone may read it: the server insists.
  static void WriteServerFile(const std::string& name, const std::string& text) {
    const std::string path = shared_server->data_directory() + "/" + name;
    WriteFile(path, text);
    struct stat owner = {};
    ASSERT_EQ(stat(shared_server->data_directory().c_str(), &owner), 0);
    ASSERT_EQ(chown(path.c_str(), owner.st_uid, owner.st_gid), 0);
    ASSERT_EQ(chmod(path.c_str(), S_IRUSR | S_IWUSR), 0);
  }

  // The pipeline trusts this certificate and no other.
  void Trust(const std::string& certificate) {
    WriteFile(directory_ / "root.crt", certificate);
    const std::string verified = "?sslmode=verify-full&sslrootcert=" + directory_ / "root.crt";
    pipeline_.source_url = source_.url() + verified;
    pipeline_.sinks = {
        fmt::format("postgres: {{url: \"{}\", create_schema: true}}", target_.url() + verified)};
  }

  static inline bool has_tls = false;
};

TEST_F(TlsTest, CopiesAndStreams) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  source_.Execute("UPDATE t SET v = 'u' || v WHERE id % 2 = 0; DELETE FROM t WHERE id % 5 = 0");
  ExpectEqualSoon({"t"}, *process);
}

// What the library has decrypted and not yet given out does not make the socket readable.
TEST_F(TlsTest, AChangeOfAnySizeComesAtOnce) {
  const auto process = Run();
  ASSERT_TRUE(WaitForSnapshot(*process));
  for (int bytes = 500; bytes < 70'000; bytes += 1990) {
    source_.Execute(
        fmt::format("INSERT INTO t SELECT {} + i, left(repeat(md5(random()::text), 2200), {}) "
                    "FROM generate_series(1, 3) i",
                    10'000 + bytes, bytes));
    ASSERT_TRUE(Eventually(
        [&] {
          return target_.Value(
                     fmt::format("SELECT count(*) FROM t WHERE id = {}", 10'003 + bytes)) == "1";
        },
        absl::Seconds(20)))
        << bytes << " bytes";
  }
  ExpectEqualSoon({"t"}, *process);
}

TEST_F(TlsTest, AStrangerIsRefused) {
  Trust(kStranger);
  const std::string output = Expect(1, "run", {"--until-current"});
  EXPECT_NE(output.find("certificate verify failed"), std::string::npos) << output;
  EXPECT_EQ(target_.Value("SELECT to_regclass('public.t') IS NULL"), "t");
}

}  // namespace
}  // namespace pgflow::tests
