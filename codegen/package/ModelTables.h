//===-- ModelTables.h - what a model's library tells the runtime ----------===//
//
// The contents of `runtime/abi/vlm_abi.h` as plain data: the plan of a module
// is read into them (Plan.h), and buildTables() writes them as constants of the
// library, reachable from its one exported symbol, `NAME_vlm_model`.
//
//   ModelTables tables;
//   tables.name = "clip";
//   tables.levels.push_back(std::move(*level));
//   auto module = buildTables(tables, context, triple);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_MODELTABLES_H
#define VLMC_CODEGEN_PACKAGE_MODELTABLES_H

#include "codegen/Codegen.h"
#include "codegen/cuda/Launch.h"
#include "codegen/package/WeightsFile.h"
#include "ir/Vlm/VlmSize.h"
#include "runtime/abi/vlm_abi.h"
#include <array>

namespace vlmc {

/// `vlm_abi_symbol`.
struct SizeSymbolTable {
  std::string name;
  int64_t min = 1;
  int64_t likely = 1;
  int64_t max = 1;
};

/// `vlm_abi_tensor`.
struct TensorTable {
  std::string name;
  uint32_t dtype = VLM_ABI_F32;
  /// Each a constant or a single symbol of the entry.
  std::vector<vlm::Size> dims;
  std::optional<std::pair<int64_t, int64_t>> range;
  std::optional<int64_t> fill; ///< there: the input is optional
  std::string below; ///< the symbol that values are less than; "": none
};

/// `vlm_abi_launch`.
struct LaunchTable {
  std::string function;
  std::array<vlm::Size, 3> grid;
  std::array<int64_t, 3> units{1, 1, 1};
  uint16_t threads = 0;
  uint16_t flags = 0; ///< VLM_ABI_LAUNCH_*
  uint32_t sharedBytes = 0;
  uint16_t minRows = 0, maxRows = 0;
  std::vector<cuda::LaunchMap> maps;
};

/// `vlm_abi_step`.
struct StepTable {
  std::string label;
  uint32_t kernel = 0;
  std::vector<vlm_abi_buffer> buffers;
  std::vector<vlm::Size> dims;
  vlm::Size flops;
  vlm::Size bytes;
  uint32_t operands = 0; ///< of the buffers, the first
  uint32_t results = 0;  ///< the next
  std::vector<LaunchTable> launches; ///< of a GPU
  std::optional<cuda::LibraryProduct> product;
};

/// `vlm_abi_trim`; input and symbol by their places.
struct TrimTable {
  uint32_t kind = VLM_ABI_TRIM_ARGMAX;
  uint32_t input = 0;
  uint32_t symbol = 0;
  int64_t id = 0;
};

/// `vlm_abi_entry`. Sizes are over the names of `symbols`.
struct EntryTable {
  std::string name;
  std::vector<SizeSymbolTable> symbols;
  std::vector<TensorTable> inputs;
  std::vector<TensorTable> outputs;
  std::vector<std::vector<vlm::Size>> slots;
  std::vector<vlm::Size> scratch;
  std::vector<StepTable> steps;
  std::optional<TrimTable> trim;
};

/// `vlm_abi_device`.
struct DeviceTable {
  std::vector<DeviceCode> codes; ///< best first
  int32_t major = 0;
  int32_t minor = 0;
  bool isExact = false;
};

/// `vlm_abi_level`.
struct LevelTable {
  std::string isa;
  std::vector<KernelCode> kernels;
  std::vector<EntryTable> entries;
  std::optional<DeviceTable> device; ///< there: a GPU's
};

/// `vlm_abi_image`; functions are named by their symbols.
struct ImageTable {
  int32_t resize = VLM_ABI_RESIZE_NONE;
  int32_t filter = 0;
  int32_t edge = 0;
  int32_t longestEdge = 0;
  int32_t height = 0;
  int32_t width = 0;
  int32_t crop = 0; ///< VLM_ABI_CROP_*
  int32_t cropHeight = 0;
  int32_t cropWidth = 0;
  int32_t backend = VLM_ABI_BACKEND_TORCHVISION;
  std::string resizeRows;
  std::string resizeColumns;
  std::string finish;
  std::vector<float> pilTable;         ///< 3 x 256
  std::vector<float> torchvisionTable; ///< 3 x 256
  std::vector<int32_t> grid;           ///< n x 2
  bool keepsKey = false;
  int32_t background = 0;
  int32_t groupBackground = 0;
  bool pans = false;
  uint32_t panCrops = 0;
  uint32_t panSide = 0;
  double panRatio = 0;
};

/// `vlm_abi_rotary`.
struct RotaryTable {
  int64_t limit = 0;
  std::vector<float> numbers; ///< by VLM_ABI_ROTARY_*
  std::vector<float> longFactors;
  uint32_t size = 0;
};

/// `vlm_abi_rules`.
struct RulesTable {
  std::vector<float> numbers; ///< by VLM_ABI_*_PENALTY and DECAY_FACTOR
  std::vector<int32_t> biased, forbidden; ///< length and ids of each
  std::vector<float> biases;
  std::vector<int32_t> forcedEnd, suppressed, firstSuppressed;
  int32_t forcedBegin = -1;
  int64_t ngram = 0, promptNgram = 0;
  int64_t minTokens = 0, minNewTokens = 0;
  int64_t decayStart = -1;
};

/// `vlm_abi_generation`.
struct GenerationTable {
  std::vector<int64_t> endTokens;
  int64_t padToken = -1;
  int64_t imageToken = -1;
  int64_t maxNewTokens = 0;
  uint32_t maxLength = 0;
  uint32_t attended = 0;     ///< VLM_ABI_ATTEND_*
  std::vector<int32_t> grid; ///< n x 2
  int32_t tileSize = 0;
  int32_t tileFeatures = 0;
  std::optional<RotaryTable> rotary;
  std::optional<RulesTable> rules;
  int64_t startToken = -1;
  uint32_t beams = 0;
  uint32_t beamEnd = VLM_ABI_BEAMS_UNLIKELY;
  std::optional<float> lengthPenalty;
  int64_t videoToken = -1;
  uint32_t pictureFlags = 0; ///< VLM_ABI_READS_VIDEOS ...
  uint32_t mostTiles = 0;
};

/// `vlm_abi_model`.
struct ModelTables {
  std::string name; ///< a C identifier
  std::string family;
  std::vector<LevelTable> levels; ///< best first
  bool reference = false;
  WeightsIdentity weights;
  FileRange tokenizer, pictureWords;
  std::optional<ImageTable> image, video;
  uint32_t head = VLM_ABI_HEAD_SOFTMAX;
  uint32_t textMaxTokens = 0;
  uint32_t textFlags = 0; // VLM_ABI_TEXT_*
  uint32_t textPaddedTokens = 0;
  int64_t padTokenId = 0;
  std::optional<GenerationTable> generation;
};

/// The symbol that the library of model `name` exports.
std::string getModelSymbol(llvm::StringRef name);

/// A C identifier made of any name: other characters become '_'.
std::string toIdentifier(llvm::StringRef name);

/// Builds the constants for a target architecture of 64 bits. Functions of
/// kernels and pictures are declared with hidden visibility.
/// Errors: more symbols, dims or powers than the interface has room for.
llvm::Expected<std::unique_ptr<llvm::Module>>
buildTables(const ModelTables &tables, llvm::LLVMContext &context,
            llvm::StringRef triple);

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_MODELTABLES_H
