//===- TestFolder.h - Files for a test ------------------------------------===//
//
// A folder of its own for a test, gone at its end, and the checkpoint files
// that tests put there.
//
//   TestFolder folder;
//   folder.write("config.json", "{}");
//   folder.write("model.safetensors", safetensors(R"({"x":...})", 16));
//   EXPECT_EQ(folder.relative(message), "DIR/config.json: ...");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_FRONTEND_SUPPORT_TESTFOLDER_H
#define VLMC_TEST_FRONTEND_SUPPORT_TESTFOLDER_H

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace vlmc {

class TestFolder {
public:
  TestFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "vlmc-XXXXXX").string();
    root = mkdtemp(name.data());
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(root, ignored);
  }
  TestFolder(const TestFolder &) = delete;
  TestFolder &operator=(const TestFolder &) = delete;

  const std::string &path() const { return root; }
  std::string path(const std::string &name) const { return root + "/" + name; }

  std::string write(const std::string &name, std::string_view text) const {
    std::filesystem::create_directories(
        std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

  /// A message with "DIR" in place of the folder's path.
  std::string relative(std::string text) const {
    for (size_t at = 0; (at = text.find(root, at)) != text.npos; at += 3)
      text.replace(at, root.size(), "DIR");
    return text;
  }

private:
  std::string root;
};

/// A safetensors file: the length of the header, the header, so many bytes of
/// data.
inline std::string safetensors(std::string_view header, size_t dataBytes) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += static_cast<char>(uint64_t(header.size()) >> (8 * i) & 0xff);
  return text + std::string(header) + std::string(dataBytes, '\0');
}

} // namespace vlmc

#endif // VLMC_TEST_FRONTEND_SUPPORT_TESTFOLDER_H
