// The passes of vlmc, in the order of passes/Pipelines.cpp. All work on the module: weights, kernels and entries are its symbols.
#ifndef VLMC_PASSES_PASSES_TD
#define VLMC_PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

class Vlm_Pass<string flag> : Pass<flag, "::mlir::ModuleOp"> {
  let dependentDialects = ["::vlmc::vlm::VlmDialect"];
}

// Fusion depends on the architecture alone: its instruction-set levels share the kernels border.
class Vlm_FusionPass<string flag> : Vlm_Pass<flag> {
  let options = [Option<"arch", "arch", "std::string", /*default=*/"\"x86_64\"",
      "Architecture whose fusion rules hold (see passes/FusionRules.h).">];
}

//===-- Borders ---------------------------------------------------------------------------------------------------------------------===//

def VerifyGraphPass : Vlm_Pass<"vlm-verify-graph"> {
  let summary = "Check the graph border: what the frontend hands over";
  let description = [{
    Each function is an entry with names and dims on its arguments and names on its results, holds tensor-level `vlm` ops only, and the source of
    each dynamic size is known; an entry gives back no argument and no weight as it is; each `vlm.weight` is used. Changes nothing.
  }];
}

def VerifyKernelsPass : Vlm_Pass<"vlm-verify-kernels"> {
  let summary = "Check the kernels border: a schedule of calls, and kernels that the generators accept";
  let description = [{
    Entries hold `vlm.get_weight`, `vlm.call` and `func.return` only; each kernel is called, has the form of its anchor (see
    `passes/KernelForm.h`) and holds no labels, which would keep equal kernels apart. Changes nothing.
  }];
}

def VerifyPlannedPass : Vlm_Pass<"vlm-verify-planned"> {
  let summary = "Check the planned border: slots, layouts, strategies";
  let description = [{
    Each kernel has a strategy, each weight a layout, each call a slot for each result (-1 exactly for outputs of the entry) and each temporary of
    its kernel; no two values that live at once share a slot, each fits into its slot, and slots are over the entry's symbols. Changes nothing.
  }];
}

//===-- Graph -----------------------------------------------------------------------------------------------------------------------===//

def FoldPass : Vlm_Pass<"vlm-fold"> {
  let summary = "Remove what computes nothing and simplify recipes";
  let description = [{
    Before: `y = vlm.activation identity x`, `vlm.slice_features x [0, D)` of all D features, slices of slices, the only token of one token taken;
    a `linear` of weights alone (its result becomes a weight); recipes that reshape twice, transpose twice, slice everything; two weights with one
    recipe (tied embeddings); weights that nobody reads.
    After: all gone. Exact: no result bit changes.
  }];
}

def TrimPaddingPass : Vlm_Pass<"vlm-trim-padding"> {
  let summary = "Tell the runtime which tokens no result depends on";
  let description = [{
    Before: an entry that picks a token of each sequence by its id (`token_index`) and is causal up to there.
    After: the same, with `vlm.trim` on the entry. The runtime then cuts the inputs behind the last picked token of the batch before it runs
    anything: a text padded to 77 tokens costs what its own tokens cost. Where a key mask is given the first token of each sequence has to be
    valid, else nothing is cut, since a query without any key looks at all of them. Exact but for the order of sums over more keys.
    Stays where a result (a tap) has a row for each token, or an op but attention reads several.
  }];
}

def DropUnreadRowsPass : Vlm_Pass<"vlm-drop-unread-rows"> {
  let summary = "Compute only the rows that are read";
  let description = [{
    Before: `y = take_tokens (f x)`   After: `y = f (take_tokens x)`
    for row-wise `f` (layer_norm, l2_normalize, linear, activation, add, slice_features), for prepend_tokens and a token behind them, and through
    attention's query, where a causal mask gets the taken index as `query_position`. The last layer of a tower is then computed for one token.
    Stays where another reader (a tap, keys and values) needs all rows, and says who. Exact: no row depends on the number of rows.
  }];
}

def FuseQKVPass : Vlm_Pass<"vlm-fuse-qkv"> {
  let summary = "One linear for query, key and value";
  let description = [{
    Before: `q = linear x, Wq bias bq`, `k = linear x, Wk bias bk`, `v = linear x, Wv bias bv`, `attention q, k, v`
    After:  `qkv = linear x, [Wq; Wk; Wv] bias [bq; bk; bv]`, its three `slice_features`, `attention`
    Key and value alone where the query reads other rows. The weights are concatenated by their recipes. Exact: a product's sums depend on K only.
  }];
}

def FusePatchEmbedPass : Vlm_Pass<"vlm-fuse-patch-embed"> {
  let summary = "Add position embeddings where patches are made";
  let description = [{
    Before: `add (prepend_tokens c, (patch_embed p)), e`
    After:  `prepend_tokens (c + e[:1]), (add (patch_embed p), e[1:])`
    The sum of the learned tokens and their positions becomes a recipe; the other addition can become the epilogue of `patch_embed`. Exact.
  }];
}

//===-- Groups ----------------------------------------------------------------------------------------------------------------------===//

def FuseGateUpPass : Vlm_FusionPass<"vlm-fuse-gate-up"> {
  let summary = "One linear for a gate and what it multiplies";
  let description = [{
    Before: `multiply (activation (linear x, Wg)), (linear x, Wu)`
    After:  `gu = linear x, [Wg; Wu]`, its two `slice_features`, `activation`, `multiply`, all of which vlm-fuse-epilogue then moves into the product
    Where the target's products can end so (GPUs). The weights are concatenated by their recipes. Exact.
  }];
}

def PlaceAnchorsPass : Vlm_Pass<"vlm-place-anchors"> {
  let summary = "Wrap each anchor into a group";
  let description = [{
    Wraps each `linear` and `patch_embed` (anchor gemm), `attention` and `contrastive_logits` (contrast) into a `vlm.group` of its own, which the
    fuse passes grow.
  }];
}

def FuseAttentionPass : Vlm_FusionPass<"vlm-fuse-attention"> {
  let summary = "Read query, key and value in place";
  let description = [{
    Moves `slice_features` of a fused projection into the attention groups that read them: the kernel then reads its columns in place and nothing
    is copied.
  }];
}

def FuseNormProloguePass : Vlm_FusionPass<"vlm-fuse-norm-prologue"> {
  let summary = "Compute normalisations where products pack their input";
  let description = [{
    Moves row-wise producers (`layer_norm`, `l2_normalize`, `embedding`, ...) of a product's input into its group, if every reader is a product that
    takes them so; views (`take_tokens`, `squeeze`, `slice_features`) into every product that reads them. Leaves `activation` and `add` to the
    epilogue of the product before them. For GPUs (`arch` cuda) only norms of whole rows, and those only into a single product: it normalises few rows
    as it reads them, and many in a pass of its own before.
  }];
}

def FuseEpiloguePass : Vlm_FusionPass<"vlm-fuse-epilogue"> {
  let summary = "Compute activations and additions where products leave their sums";
  let description = [{
    Moves the only reader of a product into its group if it is an `activation`, a `squeeze` or an `add` (bias, positions, residual; views of the
    residual come along). The product becomes the left operand of `add`. For GPUs (`arch` cuda) also a `multiply` of both halves of the product, one
    of them through an `activation`.
  }];
}

def GroupRowsPass : Vlm_Pass<"vlm-group-rows"> {
  let summary = "Cluster what is left into row-wise groups";
  let description = [{
    Each row-wise op outside a group becomes a `rows` group together with its producers that nobody else reads. A value that an entry gives back
    twice is copied by a group of its own: each output has its own buffer.
  }];
  let options = [Option<"eachOp", "each-op", "bool", /*default=*/"false",
      "Give each op a group of its own (what the reference pipeline does).">];
}

def FormKernelsPass : Vlm_Pass<"vlm-form-kernels"> {
  let summary = "Outline each group to a kernel";
  let description = [{
    Before: `y = vlm.group gemm (...) {...}`   After: `y = vlm.call @linear_64x96(...)`, and the kernel at the module's end.
    Labels move from the ops to the call. Kernels are named by what they compute.
  }];
}

def DedupeKernelsPass : Vlm_Pass<"vlm-dedupe-kernels"> {
  let summary = "Call equal kernels by one name";
  let description = [{
    Kernels are equal when region, types and attributes are and their calls give weights for the same operands; the first one stays. Repeated layers
    then share their kernels, and compile time does not grow with depth.
  }];
}

//===-- Plans -----------------------------------------------------------------------------------------------------------------------===//

def TilePass : Vlm_Pass<"vlm-tile"> {
  let summary = "Choose each kernel's strategy, tile sizes and working memory";
  let description = [{
    Before: `vlm.kernel @k(...) attributes {anchor = gemm}`   After: `strategy = "gemm"`, `tiles = {mr, np, kc, mc, temps, scratch}`
    A convolution of 3 x 3 in steps of 1 with f32 weights becomes `winograd`, by 16 multiply-adds in place of 36.
    Sizes of temporaries and scratch are in bytes over d0, d1, ... (the kernel's dynamic operand dims in order). A kernel that already asks for
    `strategy = "reference"` keeps it. For GPUs (`arch` cuda) the strategies are gemm, attention, cached_attention, rows, moments and elements, a
    thread for each element; tiles are the generators' own business there (codegen/cuda), and there is no working memory.
  }];
  let options = [
    Option<"arch", "arch", "std::string", /*default=*/"\"x86_64\"", "Architecture of the target.">,
    Option<"chip", "chip", "std::string", /*default=*/"\"\"", "The GPU's generation, sm_90a, that products may have code of their own for.">,
    Option<"strategy", "strategy", "std::string", /*default=*/"\"auto\"", "auto, or reference for every kernel.">,
    Option<"weights", "weights", "std::string", /*default=*/"\"auto\"", "How matrices are to be stored, as --vlm-pack-weights takes it.">,
    Option<"tileRows", "tile-rows", "int64_t", /*default=*/"6", "Rows of the f32 GEMM micro-kernel.">,
    Option<"tilePanels", "tile-panels", "int64_t", /*default=*/"1", "Packed panels of 16 columns that the micro-kernel reads side by side.">,
    Option<"l2Bytes", "l2-bytes", "int64_t", /*default=*/"524288", "Bytes of a core's second-level cache.">,
  ];
}

def PackWeightsPass : Vlm_Pass<"vlm-pack-weights"> {
  let summary = "Give each weight the layout in which its kernels read it";
  let description = [{
    Before: `vlm.weight @w : tensor<96x64xf32> = R`
    After:  `vlm.weight @w : tensor<96x64xf32, #vlm.layout<"f32.panel16">> = pack "f32.panel16" (R)`, the same type at `get_weight`, kernel argument and call.
    Weights of convolutions in winograd kernels: `winograd16`. Weights of products in gemm kernels: `panel16` (the trailing dimensions of a patch embedding's weight count as one, K); vectors read feature
    by feature: `vector`; everything else, and everything that kernels of strategy `reference` read: `rows`. A table of embeddings that is a
    product's weight as well is read from its panels. A weight that is read in two layouts becomes two weights, and a remark tells the bytes.
    What is stored in panels, and tables of embeddings, is bf16 or f16 where the checkpoint stores every value of it so, or where `weights` asks
    for that type and then rounds; all else, and what was computed from weights, is f32. A product's kernel that reads 16 bits gets working memory
    (`tiles.scratch`) to widen panels.
    For GPUs (`arch` cuda) products read `rows` too, in 16 bits, since that is what tensor cores multiply: what the checkpoint has in f32 becomes bf16
    if any of its weights is, else f16. And the weights are named `NAME.cuda`, beside the CPU's in a package. What both have alike is stored once.
  }];
  let options = [
    Option<"arch", "arch", "std::string", /*default=*/"\"x86_64\"", "Architecture of the target.">,
    Option<"weights", "weights", "std::string", /*default=*/"\"auto\"", "auto (as in the checkpoint), f32, bf16 or f16: how matrices are stored.">,
  ];
}

def NarrowValuesPass : Vlm_Pass<"vlm-narrow-values"> {
  let summary = "Keep what lies between two kernels of a GPU in 16 bits";
  let description = [{
    Before: `tiles = {...}` of a kernel   After: `tiles = {..., storage = ["f16", "", "f32", "f16"]}`: how each operand and result lies in memory; ""
    is what its type says. Results of calls that are no outputs are in the 16 bits of the products' weights (bf16 if any of them is), unless all of
    those are f32; inputs and outputs of entries, tables of rotary positions, moments and distances whose least is looked for stay f32. So do, in the
    place of f16, the values that a `rms_norm` of whole rows reads: the sums along a decoder's layers may be beyond 65504. A kernel whose calls differ
    in this becomes several. Arithmetic stays in f32; the element types of the tensors do too.
  }];
}

def PlanMemoryPass : Vlm_Pass<"vlm-plan-memory"> {
  let summary = "Give every buffer a slot in the arena";
  let description = [{
    Per entry: results of calls that are not outputs, and the kernels' temporaries, get slots such that values that live at once share none. Values
    are placed by falling size at the symbols' maximum into the slot that wastes least, preferably one that holds them for all symbol values. Writes
    `slots`, `temps`, `scratch` of calls and `vlm.slots` of the entry (for each slot the sizes whose maximum it has). Outputs of the entry have slot -1.
  }];
}

#endif // VLMC_PASSES_PASSES_TD
