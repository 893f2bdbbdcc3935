//===-- Interface.cpp - what programs see of a package --------------------===//
#include "codegen/package/Interface.h"
#include "codegen/package/Version.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using vlmc::vlm::Size;

namespace vlmc {

namespace {
/// How a type is called in vlm.h, in C and in comments.
struct TypeNames {
  const char *value;
  const char *type;
  const char *text;
};
} // namespace

static const TypeNames &getTypeNames(uint32_t dtype) {
  static const TypeNames names[] = {
      {"VLM_F32", "float", "f32"},          {"VLM_I64", "int64_t", "i64"},
      {"VLM_I32", "int32_t", "i32"},        {"VLM_U8", "uint8_t", "u8"},
      {"VLM_F16", "uint16_t", "f16"},       {"VLM_BF16", "uint16_t", "bf16"},
      {"VLM_CACHE", "vlm_cache_t", "cache"}};
  return names[dtype];
}

/// The symbol of a dynamic dimension, "" for a constant.
static std::string getDimSymbol(const Size &dim) {
  return dim.isConstant() ? "" : dim.getTerms().begin()->first.front();
}

static int64_t getDimValue(const Size &dim) { return dim.evaluate({}); }

std::string describeTensor(const TensorTable &tensor) {
  std::string text = tensor.name + " " + getTypeNames(tensor.dtype).text + " [";
  ListSeparator comma;
  for (const Size &dim : tensor.dims) {
    text += StringRef(comma);
    text +=
        dim.isConstant() ? std::to_string(getDimValue(dim)) : getDimSymbol(dim);
  }
  return text + "]";
}

//===-- NAME.h ------------------------------------------------------------===//

static std::string describeTensors(ArrayRef<TensorTable> tensors) {
  std::string text;
  ListSeparator comma;
  for (const TensorTable &tensor : tensors)
    text += (StringRef(comma) + describeTensor(tensor)).str();
  return text;
}

static void writeComment(raw_ostream &os, const EntryTable &entry) {
  os << "\n/* " << describeTensors(entry.inputs) << "\n *   -> "
     << describeTensors(entry.outputs) << "\n";
  for (const SizeSymbolTable &symbol : entry.symbols)
    os << " * " << symbol.name << ": " << symbol.min << " to " << symbol.max
       << "\n";
  for (const TensorTable &input : entry.inputs) {
    if (input.fill)
      os << " * " << input.name << " may be NULL: it is then all "
         << *input.fill << "\n";
    if (input.range)
      os << " * " << input.name << ": " << input.range->first << " to "
         << input.range->second
         << (input.below.empty() ? "" : ", and less than " + input.below)
         << "\n";
  }
  os << " * An output that is NULL is not wanted. Errors: as "
        "vlm_entry_run(). */\n";
}

/// Adds a tensor to an array of the wrapper, unless it may be left out and is.
static void writeTensor(raw_ostream &os, const TensorTable &tensor,
                        StringRef array, bool optional) {
  const TypeNames &names = getTypeNames(tensor.dtype);
  std::string parameter = toIdentifier(tensor.name);
  std::string dims, count;
  ListSeparator comma;
  int64_t constant = 1;
  for (const Size &dim : tensor.dims) {
    std::string symbol = getDimSymbol(dim);
    dims += StringRef(comma);
    dims += symbol.empty() ? std::to_string(getDimValue(dim))
                           : "dim_" + toIdentifier(symbol);
    if (symbol.empty())
      constant *= getDimValue(dim);
    else
      count += "(size_t)dim_" + toIdentifier(symbol) + " * ";
  }
  os << "  ";
  if (optional)
    os << "if (" << parameter << ") ";
  os << "{\n    vlm_tensor_t vlm_item = {\"" << tensor.name << "\", "
     << names.value << ", " << tensor.dims.size() << ", {"
     << (dims.empty() ? "0" : dims) << "}, (void *)" << parameter
     << ",\n                             ";
  // The size of a cache is its own business.
  if (tensor.dtype == VLM_ABI_CACHE)
    os << "0";
  else
    os << count << constant << " * sizeof(" << names.type << ")";
  os << "};\n    " << array << "[" << array << "_count++] = vlm_item;\n  }\n";
}

static void writeEntry(raw_ostream &os, const ModelTables &tables,
                       const EntryTable &entry) {
  writeComment(os, entry);
  os << "static inline vlm_status_t *" << tables.name << "_"
     << toIdentifier(entry.name) << "(const vlm_model_t *vlm_model";
  for (const SizeSymbolTable &symbol : entry.symbols)
    os << ", int64_t dim_" << toIdentifier(symbol.name);
  for (const TensorTable &input : entry.inputs)
    os << (input.dtype == VLM_ABI_CACHE ? ", " : ", const ")
       << getTypeNames(input.dtype).type << " *" << toIdentifier(input.name);
  for (const TensorTable &output : entry.outputs)
    os << ", " << getTypeNames(output.dtype).type << " *"
       << toIdentifier(output.name);
  os << ") {\n  const vlm_entry_t *vlm_entry = NULL;\n  vlm_tensor_t "
        "vlm_inputs["
     << entry.inputs.size() << "], vlm_outputs[" << entry.outputs.size()
     << "];\n  size_t vlm_inputs_count = 0, vlm_outputs_count = 0;\n"
     << "  vlm_status_t *vlm_status = vlm_model_entry(vlm_model, \""
     << entry.name << "\", &vlm_entry);\n  if (vlm_status)\n"
     << "    return vlm_status;\n";
  for (const TensorTable &input : entry.inputs)
    writeTensor(os, input, "vlm_inputs", input.fill.has_value());
  for (const TensorTable &output : entry.outputs)
    writeTensor(os, output, "vlm_outputs", true);
  os << "  return vlm_entry_run(vlm_entry, vlm_inputs, vlm_inputs_count, "
        "vlm_outputs, vlm_outputs_count);\n}\n";
}

static void writeLoaders(raw_ostream &os, const std::string &name,
                         bool isStatic) {
  // An archive cannot be opened while the program runs.
  if (!isStatic)
    os << "\n/* Loads the package, the directory that holds this file. As "
          "vlm_model_load(). */\n"
       << "static inline vlm_status_t *" << name
       << "_load(const char *path, const vlm_load_options_t *options, "
          "vlm_model_t **out_model) {\n"
       << "  return vlm_model_load(path, options, out_model);\n}\n";
  os << "\n/* Loads the model in a program that links lib" << name
     << (isStatic ? ".a" : ".so") << ": `weights_path` is that of " << name
     << ".weights. As vlm_model_load_linked(). */\n"
     << "extern const struct vlm_abi_model " << getModelSymbol(name) << ";\n"
     << "static inline vlm_status_t *" << name
     << "_load_linked(const char *weights_path, const vlm_load_options_t "
        "*options,\n    vlm_model_t **out_model) {\n"
     << "  return vlm_model_load_linked(&" << getModelSymbol(name)
     << ", weights_path, options, out_model);\n}\n";
}

std::string makeHeader(const ModelTables &tables, bool isStatic) {
  std::string text;
  raw_string_ostream os(text);
  std::string guard = "VLM_MODEL_" + tables.name + "_H";
  os << "/* " << tables.name << ".h: the model " << tables.name << " ("
     << tables.family << "), compiled by vlmc " << getVersion() << ".\n"
     << " *\n * Thin wrappers over vlm.h, whose rules hold here: a status is "
        "NULL when all is well, tensors are dense and row-major in\n"
     << " * the caller's memory, a loaded model may be used from any number of "
        "threads at once. */\n"
     << "#ifndef " << guard << "\n#define " << guard
     << "\n\n#include <vlm.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n";
  writeLoaders(os, tables.name, isStatic);
  if (!tables.levels.empty())
    for (const EntryTable &entry : tables.levels.front().entries)
      writeEntry(os, tables, entry);
  os << "\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
  return text;
}

//===-- NAMEConfig.cmake --------------------------------------------------===//

/// The target that brings the model's library for one architecture.
static void writeLinkedTarget(raw_ostream &os, const std::string &name,
                              const std::string &arch, bool isStatic) {
  std::string processors = arch == "x86_64"    ? "^(x86_64|AMD64|amd64)$"
                           : arch == "aarch64" ? "^(aarch64|arm64)$"
                                               : arch;
  std::string library = "lib" + name + (isStatic ? ".a" : ".so");
  os << "if(NOT TARGET " << name
     << "::linked AND CMAKE_SYSTEM_PROCESSOR MATCHES \"" << processors
     << "\")\n  add_library(" << name << "::linked "
     << (isStatic ? "STATIC" : "SHARED") << " IMPORTED)\n"
     << "  set_target_properties(" << name << "::linked PROPERTIES\n"
     << "    IMPORTED_LOCATION \"${CMAKE_CURRENT_LIST_DIR}/lib/" << arch << "/"
     << library << "\"\n";
  if (!isStatic)
    os << "    IMPORTED_SONAME " << library << "\n";
  os << "    INTERFACE_LINK_LIBRARIES \"" << name << "::"
     << name
     // Reference kernels call libm.
     << (isStatic ? ";m" : "") << "\")\nendif()\n";
}

std::string makeCMakeConfig(const ModelTables &tables,
                            ArrayRef<std::string> archs, bool isStatic) {
  const std::string &name = tables.name;
  std::string text;
  raw_string_ostream os(text);
  os << "# find_package(" << name << ") for the model " << name
     << ", compiled by vlmc " << getVersion() << ".\n";
  if (isStatic)
    os << "#   " << name << "::" << name << "     its header and the runtime\n";
  else
    os << "#   " << name << "::" << name
       << "     its header and the runtime; load the model by the path in "
       << name << "_PACKAGE\n";
  os << "#   " << name
     << "::linked   the same with the model's library linked in; its weights "
        "are "
     << name << "_WEIGHTS\n"
     << "# With VLMC_STATIC_RUNTIME set before, the runtime is linked in "
        "statically too.\n"
     << "include(CMakeFindDependencyMacro)\nfind_dependency(vlmc)\n\n"
     << "set(" << name << "_PACKAGE \"${CMAKE_CURRENT_LIST_DIR}\")\n"
     << "set(" << name << "_WEIGHTS \"${CMAKE_CURRENT_LIST_DIR}/" << name
     << ".weights\")\n\n"
     << "if(NOT TARGET " << name << "::" << name << ")\n"
     << "  add_library(" << name << "::" << name << " INTERFACE IMPORTED)\n"
     << "  set_target_properties(" << name << "::" << name << " PROPERTIES\n"
     << "    INTERFACE_INCLUDE_DIRECTORIES \"${CMAKE_CURRENT_LIST_DIR}\"\n"
     << "    INTERFACE_LINK_LIBRARIES vlmc::runtime)\nendif()\n";
  for (const std::string &arch : archs)
    writeLinkedTarget(os, name, arch, isStatic);
  return text;
}

} // namespace vlmc
