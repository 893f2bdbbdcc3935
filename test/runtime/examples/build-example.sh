#!/bin/sh
# build-example.sh CMAKE BUILD SOURCE FAKE_LIBRARY CC: builds runtime/examples over the build tree and over an installed runtime, each time with
# find_package on a package folder around the fake model, and shows that the program runs and tells what the package lacks.
set -eu
cmake=$1 build=$2 source=$3 library=$4 cc=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

package=$work/fake.vlm
mkdir -p "$package/lib/$(uname -m)"
cp "$library" "$package/lib/$(uname -m)/libfake.so"
cat > "$package/fakeConfig.cmake" <<'CONFIG'
include(CMakeFindDependencyMacro)
find_dependency(vlmc)
add_library(fake::fake INTERFACE IMPORTED)
set_target_properties(fake::fake PROPERTIES INTERFACE_LINK_LIBRARIES "vlmc::vlm_tasks;vlmc::vlm_image;vlmc::vlm_text;vlmc::vlm")
CONFIG

fail() {
  echo "build-example: $1" >&2
  exit 1
}

# try NAME CMAKE_ARGUMENT: configures, builds and runs.
try() {
  "$cmake" -S "$source/runtime/examples" -B "$work/$1" -DMODEL="$package" "$2" -DCMAKE_C_COMPILER="$cc" >/dev/null
  "$cmake" --build "$work/$1" >/dev/null
  if message=$("$work/$1/classify" "$package" none.png a b 2>&1); then
    fail "$1: expected exit code 1, found 0"
  fi
  case $message in
    "classify: weights file '$package/fake.weights': no such file"*) ;;
    *) fail "$1: expected the message on missing weights, found: $message" ;;
  esac
  needed=$(ldd "$work/$1/classify")
  case $needed in
    *LLVM* | *MLIR* | *protobuf* | *Halide* | *python*) fail "$1: needs a library of the compiler: $needed" ;;
  esac
}

try build-tree "-Dvlmc_DIR=$build"
"$cmake" --install "$build" --component runtime --prefix "$work/installed" >/dev/null
try installed "-DCMAKE_PREFIX_PATH=$work/installed"

core=$(readlink -f "$build/lib/libvlm.so")
size=$(stat -c %s "$core")
[ "$size" -lt 1048576 ] || fail "libvlm: expected less than 1 MiB, found $size bytes"
for name in $(ldd "$core" | awk '{ print $1 }'); do
  case $name in
    linux-vdso* | libc.so* | libm.so* | libstdc++.so* | libgcc_s.so* | */ld-linux*) ;;
    *) fail "libvlm: needs $name; expected libc, libm and libstdc++ alone" ;;
  esac
done
