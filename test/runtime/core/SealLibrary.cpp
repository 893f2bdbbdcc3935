// SealLibrary FILE: appends to a library what `vlmc compile` appends to its
// own.
#include "runtime/abi/LibrarySeal.h"

#include <fstream>
#include <iterator>
#include <string>

int main(int count, char **arguments) {
  if (count != 2)
    return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (!file || bytes.empty())
    return 1;
  vlmc::LibrarySeal seal = vlmc::sealOf(bytes.data(), bytes.size());
  std::ofstream out(arguments[1], std::ios::binary | std::ios::app);
  out.write(reinterpret_cast<const char *>(&seal), sizeof seal);
  return out.flush() ? 0 : 1;
}
