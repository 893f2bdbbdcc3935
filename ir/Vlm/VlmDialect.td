// The `vlm` dialect and its attributes.
#ifndef VLMC_IR_VLM_DIALECT_TD
#define VLMC_IR_VLM_DIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/EnumAttr.td"

def Vlm_Dialect : Dialect {
  let name = "vlm";
  let cppNamespace = "::vlmc::vlm";
  let summary = "Vision-language models as graphs, kernels and plans";
  let description = [{
    The dialect holds a model at three borders (see `passes/`): *graph* (tensor-level ops over weights given as recipes), *kernels* (a schedule
    of calls to `vlm.kernel` symbols whose regions are their meaning) and *planned* (every buffer has a slot, every weight a packed layout, every
    kernel a strategy with tile sizes). Shapes are written with letters: B batch, T tokens, D features, H heads, K and N a product's inner and
    outer size.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 0;
  let extraClassDeclaration = [{
    void registerAttributes();
  }];
}

class Vlm_Attr<string name, string attrMnemonic, list<Trait> traits = []> : AttrDef<Vlm_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

//===-- Enumerations ---------------------------------------------------------------------------------------------------------------===//

class Vlm_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::vlmc::vlm";
  let genSpecializedAttr = 0;
}

def Vlm_ActivationKind : Vlm_Enum<"ActivationKind", "an activation function", [
  I32EnumAttrCase<"Identity", 0, "identity">, I32EnumAttrCase<"Relu", 1, "relu">, I32EnumAttrCase<"Relu2", 2, "relu2">,
  I32EnumAttrCase<"Relu6", 3, "relu6">, I32EnumAttrCase<"LeakyRelu", 4, "leaky_relu">, I32EnumAttrCase<"QuickGelu", 5, "quick_gelu">,
  I32EnumAttrCase<"Gelu", 6, "gelu">, I32EnumAttrCase<"GeluTanh", 7, "gelu_tanh">, I32EnumAttrCase<"Silu", 8, "silu">,
  I32EnumAttrCase<"Sigmoid", 9, "sigmoid">, I32EnumAttrCase<"Tanh", 10, "tanh">, I32EnumAttrCase<"Mish", 11, "mish">,
  I32EnumAttrCase<"HardTanh", 12, "hard_tanh">]>;
def Vlm_ActivationKindAttr : EnumAttr<Vlm_Dialect, Vlm_ActivationKind, "activation_kind"> { let assemblyFormat = "$value"; }

def Vlm_TokenIndexKind : Vlm_Enum<"TokenIndexKind", "which token of a sequence is meant", [
  I32EnumAttrCase<"FirstEqual", 0, "first_equal">, I32EnumAttrCase<"ArgMax", 1, "argmax">]>;
def Vlm_TokenIndexKindAttr : EnumAttr<Vlm_Dialect, Vlm_TokenIndexKind, "token_index_kind"> { let assemblyFormat = "$value"; }

def Vlm_AnchorKind : Vlm_Enum<"AnchorKind", "what a kernel is built around", [
  I32EnumAttrCase<"Gemm", 0, "gemm">, I32EnumAttrCase<"Attention", 1, "attention">, I32EnumAttrCase<"Rows", 2, "rows">,
  I32EnumAttrCase<"Contrast", 3, "contrast">, I32EnumAttrCase<"CachedAttention", 4, "cached_attention">]>;
def Vlm_AnchorKindAttr : EnumAttr<Vlm_Dialect, Vlm_AnchorKind, "anchor_kind"> { let assemblyFormat = "$value"; }

def Vlm_RecipeKind : Vlm_Enum<"RecipeKind", "a step of a weight recipe", [
  I32EnumAttrCase<"Read", 0, "read">, I32EnumAttrCase<"Concat", 1, "concat">, I32EnumAttrCase<"Transpose", 2, "transpose">,
  I32EnumAttrCase<"Slice", 3, "slice">, I32EnumAttrCase<"Scale", 4, "scale">, I32EnumAttrCase<"Exp", 5, "exp">,
  I32EnumAttrCase<"Reshape", 6, "reshape">, I32EnumAttrCase<"Convert", 7, "convert">, I32EnumAttrCase<"Pack", 8, "pack">,
  I32EnumAttrCase<"Add", 9, "add">, I32EnumAttrCase<"Linear", 10, "linear">,
  I32EnumAttrCase<"ScaleRows", 11, "scale_rows">, I32EnumAttrCase<"InverseRoot", 12, "inverse_root">,
  I32EnumAttrCase<"RowSquares", 13, "row_squares">, I32EnumAttrCase<"TakeRows", 14, "take_rows">,
  I32EnumAttrCase<"Count", 15, "count">]>;

//===-- Attributes -----------------------------------------------------------------------------------------------------------------===//

def Vlm_RecipeAttr : Vlm_Attr<"Recipe", "recipe"> {
  let summary = "How a weight is made from tensors of the checkpoint";
  let description = [{
    A tree of steps, evaluated by the packager from the mapped checkpoint to the weights file. Two weights are equal when their recipes are.
    - `read "NAME"`: the checkpoint's tensor, with the type stored there
    - `concat axis (a, b, ...)`: joined along `params[0]`
    - `transpose perm (a)`, `slice axis, begin, end (a)`, `reshape (a)`, `convert (a)` (to the element type of the result)
    - `scale factor (a)`, `exp (a)` (both evaluated in f32), `add (a, b)` (equal shapes, f32)
    - `linear (x, w)`, `linear (x, w, b)`: `vlm.linear` of weights, f32; the same bits as its kernel: one chain of fused multiply-adds in ascending k
    - `scale_rows (a, v)`: each row along the first axis of `a` times the element of `v` `[N]` for it, `inverse_root epsilon (a)`: `1 / sqrt(a +
      epsilon)`; f32. Together they fold a batch norm into a convolution.
    - `take_rows rows (a)`: the rows along the first axis of `a` that `params` name, in that order, each as often as it is named
    - `row_squares (a)`: the sum of squares of each row `[N]` of `a` `[N, K]`, summed in f64; f32
    - `count first`: the numbers `params[0]`, `params[0]` + 1 and so on, one row `[1, N]` of f32, from no tensor at all
    - `pack "LAYOUT" (a)`: laid out as the named layout says; the type keeps the logical shape and carries `#vlm.layout`
    Example: `#vlm.recipe<concat [0] (#vlm.recipe<read "q.weight" : tensor<64x64xf32>>, #vlm.recipe<read "k.weight" : tensor<64x64xf32>>) : tensor<128x64xf32>>`
  }];
  let parameters = (ins "RecipeKind":$kind, "::mlir::RankedTensorType":$type, "::mlir::StringAttr":$name,
      ArrayRefParameter<"int64_t">:$params, "::mlir::FloatAttr":$factor, ArrayRefParameter<"::vlmc::vlm::RecipeAttr">:$inputs);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static RecipeAttr read(::mlir::StringAttr name, ::mlir::RankedTensorType type);
    static RecipeAttr concat(int64_t axis, ::llvm::ArrayRef<RecipeAttr> inputs);
    static RecipeAttr transpose(::llvm::ArrayRef<int64_t> permutation, RecipeAttr input);
    static RecipeAttr slice(int64_t axis, int64_t begin, int64_t end, RecipeAttr input);
    static RecipeAttr scale(double factor, RecipeAttr input);
    static RecipeAttr exp(RecipeAttr input);
    static RecipeAttr reshape(::llvm::ArrayRef<int64_t> shape, RecipeAttr input);
    static RecipeAttr convert(::mlir::Type elementType, RecipeAttr input);
    static RecipeAttr add(RecipeAttr lhs, RecipeAttr rhs);
    static RecipeAttr linear(::llvm::ArrayRef<RecipeAttr> inputs);
    static RecipeAttr scaleRows(RecipeAttr input, RecipeAttr factors);
    static RecipeAttr inverseRoot(double epsilon, RecipeAttr input);
    static RecipeAttr rowSquares(RecipeAttr input);
    static RecipeAttr takeRows(::llvm::ArrayRef<int64_t> rows, RecipeAttr input);
    static RecipeAttr count(int64_t first, int64_t number, ::mlir::MLIRContext *context);
    static RecipeAttr pack(::llvm::StringRef layout, RecipeAttr input);
  }];
}

def Vlm_LayoutAttr : Vlm_Attr<"Layout", "layout"> {
  let summary = "The packed layout of a weight, as the encoding of its tensor type";
  let description = [{
    A name is the stored type and the form. Forms: `panel16`: W [N,K] as [ceil(N/16)][K][16], columns past N zero; `vector`: a vector padded with
    zeros to a multiple of 16; `rows`: plain row-major. There are `f32` of each, and `bf16` and `f16` of `panel16` and `rows`, which kernels
    widen as they read: the element type of the tensor stays f32, the type of the values. `bf16.panel16` keeps two neighbours along K together,
    [ceil(N/16)][ceil(K/2)][16][2], zero past K: each 32 bits are two values, and either is widened by one shift or mask.
    `f32.winograd16`: W [N,3,3,C] of a convolution as [ceil(N/16)][16][C][16]: each 3x3 window G W G^T of 4x4 (Lavin and Gray, arXiv 1509.09308).
    Example: `tensor<768x768xf32, #vlm.layout<"f32.panel16">>`.
  }];
  let parameters = (ins StringRefParameter<>:$name);
  let assemblyFormat = "`<` $name `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// "f32", "bf16" or "f16": the type of what is stored.
    ::llvm::StringRef getStorage() const { return getName().split('.').first; }
    /// "panel16", "winograd16", "vector" or "rows".
    ::llvm::StringRef getForm() const { return getName().split('.').second; }
  }];
}

def Vlm_CacheAttr : Vlm_Attr<"Cache", "cache"> {
  let summary = "The encoding of a handle to a cache of keys and values";
  let description = [{
    A tensor type with this encoding is no tensor in memory but a handle that only cache ops read and write; its shape says what one token takes:
    `[L, 2, Hkv, Dh]` for L layers, `[2, Hkv, Dh]` for one. How the tokens lie in memory is the runtime's business (`vlm_abi_cache_layer`).
    Example: `tensor<32x2x8x128xf32, #vlm.cache>`.
  }];
}

def Vlm_SizeAttr : Vlm_Attr<"Size", "size"> {
  let summary = "A polynomial with non-negative coefficients over size symbols";
  let description = [{
    Terms are a coefficient times symbols, each with a power: `#vlm.size<3072 * B * T + 64>`, `#vlm.size<0>`. Kept in a canonical order (see
    `ir/Vlm/VlmSize.h` for the arithmetic). Symbols are names of the entry's `vlm.symbols`.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$coefficients,
      ArrayRefParameter<"::mlir::ArrayAttr">:$symbols);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Vlm_SymbolInfoAttr : Vlm_Attr<"SymbolInfo", "symbol"> {
  let summary = "A size symbol of an entry point with its minimum, likely and maximum value";
  let description = [{ Example: `#vlm.symbol<"T", 1, 16, 77>`. }];
  let parameters = (ins "::mlir::StringAttr":$name, "int64_t":$min, "int64_t":$likely, "int64_t":$max);
  let assemblyFormat = "`<` $name `,` $min `,` $likely `,` $max `>`";
  let genVerifyDecl = 1;
}

#endif // VLMC_IR_VLM_DIALECT_TD
