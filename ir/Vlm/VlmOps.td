// The ops of the `vlm` dialect. Shapes: B batch, T tokens, R rows taken, D features, H heads, N and K outer and inner size of a product.
#ifndef VLMC_IR_VLM_OPS_TD
#define VLMC_IR_VLM_OPS_TD

include "ir/Vlm/VlmDialect.td"
include "ir/Vlm/VlmInterfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/CallInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Vlm_Float : RankedTensorOf<[F32, F16, BF16]>;
def Vlm_Ids : RankedTensorOf<[I64, I32]>;
def Vlm_Any : RankedTensorOf<[F32, F16, BF16, I64, I32]>;

class Vlm_Op<string mnemonic, list<Trait> traits = []> : Op<Vlm_Dialect, mnemonic, traits>;

// A pure tensor-level op: what kernels' regions hold. The result type is inferred where the operands tell it.
class Vlm_TensorOp<string mnemonic, list<Trait> traits = []>
    : Vlm_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<Vlm_DimsOpInterface>], traits)>;

// The same for ops whose dynamic dimensions are not those of the first operand.
class Vlm_ReshapingTensorOp<string mnemonic, list<Trait> traits = []>
    : Vlm_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<Vlm_DimsOpInterface, ["getDimSource"]>], traits)>;

//===-- Weights --------------------------------------------------------------------------------------------------------------------===//

def Vlm_WeightOp : Vlm_Op<"weight", [Symbol]> {
  let summary = "a weight of the model, as a recipe over tensors of the checkpoint";
  let description = [{
    Weights are never constants in the IR: the symbol carries a recipe, passes extend it, the packager evaluates it from the mapped checkpoint.
    - Shapes: any static shape; the recipe's type is the weight's type.
    - Errors: the verifier rejects a recipe of another type than the weight.
    ```mlir
    vlm.weight @vision.proj : tensor<64x32xf32> = #vlm.recipe<read "visual_projection.weight" : tensor<64x32xf32>>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type, Vlm_RecipeAttr:$recipe);
  let assemblyFormat = "$sym_name `:` $type `=` $recipe attr-dict";
  let hasVerifier = 1;
}

def Vlm_GetWeightOp : Vlm_Op<"get_weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a weight";
  let description = [{
    - Shapes: the type of the named `vlm.weight`.
    - Errors: no such weight, or a weight of another type.
    ```mlir
    %w = vlm.get_weight @vision.proj : tensor<64x32xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

//===-- Products -------------------------------------------------------------------------------------------------------------------===//

def Vlm_LinearOp : Vlm_TensorOp<"linear"> {
  let summary = "input * weight^T + bias";
  let description = [{
    - Shapes: `input` `[..., K]`, `weight` `[N, K]`, `bias` `[N]` (may be absent), `result` `[..., N]`.
    - Types: float; accumulated in f32 in ascending k.
    - Source: torch.nn.Linear.
    ```mlir
    %y = vlm.linear %x, %w bias %b : (tensor<?x50x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x50x96xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$weight, Optional<Vlm_Float>:$bias);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_PatchEmbedOp : Vlm_TensorOp<"patch_embed"> {
  let summary = "cut pictures into square patches and project each";
  let description = [{
    A convolution whose stride is its kernel size P; rows and columns that do not fill a patch are left out.
    - Shapes: `pixels` `[B, C, H, W]`, `weight` `[D, C, P, P]`, `bias` `[D]` (may be absent), `result` `[B, (H/P)*(W/P), D]`, patches row by row.
    - Source: ViT, arXiv:2010.11929; CLIPVisionEmbeddings.patch_embedding in transformers.
    ```mlir
    %y = vlm.patch_embed %pixels, %w : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$pixels, Vlm_Float:$weight, Optional<Vlm_Float>:$bias);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$pixels `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_Conv2dOp : Vlm_TensorOp<"conv2d"> {
  let summary = "a convolution over the pixels of pictures";
  let description = [{
    Pixels are rows of channels, one picture row behind the other; a picture of `[B, C, H, W]` is read as it is. What lies around the picture is 0.
    - Shapes: `input` `[B, H*W, C]` or `[B, C, H, W]` with `height` H and `width` W, `weight` `[N, Ky, Kx, C]`, `bias` `[N]` (may be absent),
      `padding` `[top, left, bottom, right]`, `result` `[B, H'*W', N]` with `H' = (H + top + bottom - Ky) / stride + 1`, W' alike.
    - Types: float; accumulated in f32 in the order ky, kx, channel.
    - Source: torch.nn.Conv2d; the towers of open_clip.modified_resnet.
    ```mlir
    %y = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
        : (tensor<?x64x16xf32>, tensor<32x3x3x16xf32>) -> tensor<?x64x32xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$weight, Optional<Vlm_Float>:$bias, I64Attr:$height, I64Attr:$width, I64Attr:$stride,
      DenseI64ArrayAttr:$padding);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether the input is planes `[B, C, H, W]`.
    bool readsPlanes() { return getInput().getType().getRank() == 4; }
    /// Height and width of the result.
    ::std::pair<int64_t, int64_t> getResultSize();
  }];
}

def Vlm_DepthwiseConv2dOp : Vlm_TensorOp<"depthwise_conv2d"> {
  let summary = "a convolution of each channel by itself over the pixels of pictures";
  let description = [{
    Pixels are rows of channels, one picture row behind the other. What lies around the picture is 0 and is left out of the sums.
    - Shapes: `input` `[B, H*W, C]` with `height` H and `width` W, `weight` `[Ky, Kx, C]`, `bias` `[C]` (may be absent), `padding` `[top, left, bottom,
      right]`, `result` `[B, H'*W', C]` with `H' = (H + top + bottom - Ky) / stride + 1`, W' alike.
    - Types: float; accumulated in f32 in the order ky, kx; the bias comes last.
    - Source: torch.nn.Conv2d with as many groups as channels; AlignVisionDepthwiseConv2d in transformers.
    ```mlir
    %y = vlm.depthwise_conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 2 : i64, padding = array<i64: 0, 0, 1, 1>}
        : (tensor<?x64x16xf32>, tensor<3x3x16xf32>) -> tensor<?x16x16xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$weight, Optional<Vlm_Float>:$bias, I64Attr:$height, I64Attr:$width, I64Attr:$stride,
      DenseI64ArrayAttr:$padding);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Height and width of the result.
    ::std::pair<int64_t, int64_t> getResultSize();
  }];
}

def Vlm_AttentionOp : Vlm_ReshapingTensorOp<"attention", [AttrSizedOperandSegments]> {
  let summary = "softmax(scale * q k^T, masked) v, head by head";
  let description = [{
    The mask is a conjunction of predicates over per-token columns: `causal` (a key's position is not after the query's), `key_valid` (keys whose
    column is 0 are masked; with `among_invalid` only for queries that are such tokens themselves). A query's position is its row, or its entry in `query_position`; a key's position is its row. A query without any
    allowed key attends to all keys alike, as an additive mask of the lowest finite number gives.
    With `distance_bias` the score of a key at place j for a query at position p grows by element `j - p + E` of the head's row; what is less than 0 or
    more than 2 E counts as that.
    - Shapes: `query` `[B, R, num_heads*Dh]`, `key`, `value` `[B, T, num_kv_heads*Dh]`, `query_position` `[B, R]` i32, `key_valid` `[B, T]` i64,
      `distance_bias` `[num_heads, 2*E + 1]`, `result` `[B, R, num_heads*Dh]`. num_heads is a multiple of num_kv_heads. A `query` of
      `[1, R, num_heads*Dh]` is shared by all B sequences, as the learned query of a pooling head is; it then has no `query_position`.
    - Types: float; scores, softmax and sums in f32.
    - Source: Attention Is All You Need, arXiv:1706.03762; CLIPAttention in transformers; for shared queries the pooling of Set Transformer,
      arXiv:1810.00825, and SiglipMultiheadAttentionPoolingHead in transformers; for `distance_bias` T5Attention there, for `among_invalid`
      MllamaVisionEncoder.
    ```mlir
    %y = vlm.attention %q, %k, %v key_valid %m {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
        : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$query, Vlm_Float:$key, Vlm_Float:$value, Optional<RankedTensorOf<[I32]>>:$query_position,
      Optional<RankedTensorOf<[I64]>>:$key_valid, Optional<Vlm_Float>:$distance_bias, I64Attr:$num_heads, I64Attr:$num_kv_heads, F64Attr:$scale,
      UnitAttr:$causal, UnitAttr:$among_invalid);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = [{ $query `,` $key `,` $value (`query_position` $query_position^)? (`key_valid` $key_valid^)?
      (`distance_bias` $distance_bias^)? attr-dict `:` functional-type(operands, results) }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether one sequence of queries serves several sequences of keys.
    bool isQueryShared() {
      return getQuery().getType().getDimSize(0) == 1 && getKey().getType().getDimSize(0) != 1;
    }
  }];
}

def Vlm_ContrastiveLogitsOp : Vlm_ReshapingTensorOp<"contrastive_logits"> {
  let summary = "exp(scale) * image text^T + bias";
  let description = [{
    With `divides` the products are divided by `log_scale` itself, a temperature, instead of multiplied by its exponential.
    - Shapes: `image` `[I, D]`, `text` `[T, D]` (both normalised by the caller), `log_scale` `[1]`, `bias` `[1]` (may be absent), `result` `[I, T]`.
    - Source: CLIP, arXiv:2103.00020 (logit_scale); SigLIP, arXiv:2303.15343 (logit_bias); ALIGN, arXiv:2102.05918 (temperature).
    ```mlir
    %y = vlm.contrastive_logits %i, %t, %s : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<1xf32>) -> tensor<?x?xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$image, Vlm_Float:$text, Vlm_Float:$log_scale, Optional<Vlm_Float>:$bias, UnitAttr:$divides);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$image `,` $text `,` $log_scale (`bias` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===-- Row by row -----------------------------------------------------------------------------------------------------------------===//

def Vlm_LayerNormOp : Vlm_TensorOp<"layer_norm", [AllTypesMatch<["input", "result"]>]> {
  let summary = "(input - mean) / sqrt(variance + epsilon) * weight + bias, over groups of features";
  let description = [{
    The features are normalised in groups of as many as `weight` has: all of them, or head by head where `weight` is as long as a head. With `group`
    they are in groups of so many, and `weight` has one number for each feature of all of them.
    - Shapes: `input`, `result` `[..., D]`, `weight`, `bias` `[G]`, G a divisor of D; with `group`, a divisor of D, `[D]`.
    - Types: float; mean and (biased) variance in f32, in two passes.
    - Source: arXiv:1607.06450; torch.nn.LayerNorm; with `group` ChameleonLayerNorm in transformers.
    ```mlir
    %y = vlm.layer_norm %x, %w, %b {epsilon = 1.000000e-05 : f64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
    %z = vlm.layer_norm %x, %w, %b {epsilon = 1.000000e-05 : f64, group = 16 : i64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$weight, Vlm_Float:$bias, F64Attr:$epsilon, DefaultValuedAttr<I64Attr, "0">:$group);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $weight `,` $bias attr-dict `:` type($input) `,` type($weight) `,` type($bias)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The features that are normalised together.
    int64_t getGroupSize() {
      return getGroup() ? static_cast<int64_t>(getGroup()) : getWeight().getType().getDimSize(0);
    }
  }];
}

def Vlm_GroupMomentsOp : Vlm_TensorOp<"group_moments"> {
  let summary = "mean and 1 / sqrt(variance + epsilon) of each group of channels of a picture";
  let description = [{
    Channels are taken in groups of as many, one behind the other; a group's numbers are those of all its channels at all pixels.
    - Shapes: `input` `[B, T, C]`, pixels as rows of channels, `result` `[B, G, 2]`, G `groups`, a divisor of C.
    - Types: float; mean and (biased) variance in f64, in two passes.
    - Source: Group Normalization, arXiv:1803.08494; torch.nn.GroupNorm.
    ```mlir
    %m = vlm.group_moments %x {groups = 4 : i64, epsilon = 1.000000e-06 : f64} : (tensor<?x64x16xf32>) -> tensor<?x4x2xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, I64Attr:$groups, F64Attr:$epsilon);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_GroupNormOp : Vlm_TensorOp<"group_norm", [AllTypesMatch<["input", "result"]>, AllTypesMatch<["weight", "bias"]>]> {
  let summary = "(input - mean) * inverse deviation * weight + bias, by the moments of a picture's groups of channels";
  let description = [{
    - Shapes: `input`, `result` `[B, T, C]`, `moments` `[B, G, 2]` as `vlm.group_moments` gives them, `weight`, `bias` `[C]`.
    - Types: float; in f32.
    - Source: Group Normalization, arXiv:1803.08494; torch.nn.GroupNorm.
    ```mlir
    %y = vlm.group_norm %x, %m, %w, %b : tensor<?x64x16xf32>, tensor<?x4x2xf32>, tensor<16xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$moments, Vlm_Float:$weight, Vlm_Float:$bias);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $moments `,` $weight `,` $bias attr-dict `:` type($input) `,` type($moments) `,` type($weight)";
  let hasVerifier = 1;
}

def Vlm_L2NormalizeOp : Vlm_TensorOp<"l2_normalize", [AllTypesMatch<["input", "result"]>]> {
  let summary = "input / sqrt(sum of squares over the features)";
  let description = [{
    No epsilon, as `x / x.norm(p=2, dim=-1, keepdim=True)` has none: a row of zeros becomes NaN.
    - Shapes: `input`, `result` `[..., D]`.
    - Source: CLIPModel.forward in transformers.
    ```mlir
    %y = vlm.l2_normalize %x : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Vlm_ActivationOp : Vlm_TensorOp<"activation", [AllTypesMatch<["input", "result"]>]> {
  let summary = "an activation function, element by element";
  let description = [{
    - `gelu` is `x/2 (1 + erf(x/sqrt 2))`; `gelu_tanh` its tanh form; `quick_gelu` is `x sigmoid(1.702 x)`; `relu2` the square of relu; `leaky_relu`
      has slope 0.01; `mish` is `x tanh(log(1 + exp x))`; `hard_tanh` is x, but -1 or 1 beyond these.
    - Shapes: `input`, `result` alike.
    - Source: ACT2FN of transformers.activations.
    ```mlir
    %y = vlm.activation quick_gelu %x : tensor<?x50x96xf32>
    ```
  }];
  let arguments = (ins Vlm_ActivationKindAttr:$kind, Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$kind $input attr-dict `:` type($input)";
}

def Vlm_AddOp : Vlm_TensorOp<"add", [AllTypesMatch<["lhs", "result"]>]> {
  let summary = "lhs + rhs, rhs repeated over leading dimensions";
  let description = [{
    - Shapes: `lhs`, `result` `[..., T, D]`; `rhs` the same, or its last dimensions (`[T, D]` position embeddings, `[D]` a bias). Where `lhs` has a
      dynamic T and `rhs` `[T', D]` a static one, the first T rows of `rhs` are used (T <= T' is checked before an entry runs).
    ```mlir
    %y = vlm.add %x, %positions : tensor<?x50x64xf32>, tensor<50x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$lhs, Vlm_Float:$rhs);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
  let hasVerifier = 1;
}

def Vlm_RmsNormOp : Vlm_TensorOp<"rms_norm", [AllTypesMatch<["input", "result"]>]> {
  let summary = "input / sqrt(mean of squares + epsilon) * (weight + offset), over groups of features";
  let description = [{
    The features are normalised in groups of as many as `weight` has: all of them, or head by head where `weight` is as long as a head.
    - Shapes: `input`, `result` `[..., D]`; `weight` `[G]`, G a divisor of D.
    - Types: float; the mean of squares in f32.
    - `offset`: 0, or 1 where the weight is stored as its difference from one (Gemma).
    - Source: arXiv:1910.07467; LlamaRMSNorm and GemmaRMSNorm in transformers.
    ```mlir
    %y = vlm.rms_norm %x, %w {epsilon = 1.000000e-05 : f64} : tensor<1x?x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$weight, F64Attr:$epsilon, DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
  let hasVerifier = 1;
}

def Vlm_MultiplyOp : Vlm_TensorOp<"multiply", [AllTypesMatch<["lhs", "rhs", "result"]>]> {
  let summary = "lhs * rhs, element by element";
  let description = [{
    - Shapes: `lhs`, `rhs`, `result` alike.
    - Source: the gated feed-forward network, arXiv:2002.05202; LlamaMLP in transformers.
    ```mlir
    %y = vlm.multiply %gate, %up : tensor<1x?x96xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$lhs, Vlm_Float:$rhs);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs)";
}

def Vlm_ScaleFeaturesOp : Vlm_TensorOp<"scale_features", [AllTypesMatch<["input", "result"]>]> {
  let summary = "input * factors, a factor for each feature of a sequence";
  let description = [{
    - Shapes: `input`, `result` `[B, T, D]`, `factors` `[B, D]`.
    - Source: squeeze-and-excitation, arXiv:1709.01507; AlignVisionSqueezeExciteLayer in transformers.
    ```mlir
    %y = vlm.scale_features %x, %s : tensor<?x64x16xf32>, tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$factors);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $factors attr-dict `:` type($input) `,` type($factors)";
  let hasVerifier = 1;
}

def Vlm_ScaleOp : Vlm_TensorOp<"scale", [AllTypesMatch<["input", "result"]>]> {
  let summary = "input * factor, element by element";
  let description = [{
    - Shapes: `input`, `result` alike; `factor` is rounded to f32.
    - Source: GemmaTextScaledWordEmbedding and the soft-capping of logits (arXiv:2408.00118) in transformers.
    ```mlir
    %y = vlm.scale %x {factor = 8.000000e+00 : f64} : tensor<1x?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, F64Attr:$factor);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Vlm_GatedAddOp : Vlm_TensorOp<"gated_add", [AllTypesMatch<["residual", "branch", "result"]>]> {
  let summary = "residual + tanh(gate) * branch";
  let description = [{
    Adds a branch to the residual stream through a learned gate, which is 0 at the start of training.
    - Shapes: `residual`, `branch`, `result` `[..., T, D]`; `gate` `[1]` or `[D]`; `shown` `[1, T]` i32 (may be absent): tokens where it is 0 stay
      as they are.
    - Source: Flamingo, arXiv:2204.14198, section 2.2; IdeficsGatedCrossAttentionLayer in transformers, `shown` MllamaCrossAttentionDecoderLayer.
    ```mlir
    %y = vlm.gated_add %x, %a, %g : tensor<1x?x64xf32>, tensor<1xf32>
    %z = vlm.gated_add %x, %a, %g shown %s : tensor<1x?x64xf32>, tensor<1xf32>, tensor<1x?xi32>
    ```
  }];
  let arguments = (ins Vlm_Float:$residual, Vlm_Float:$branch, Vlm_Float:$gate, Optional<RankedTensorOf<[I32]>>:$shown);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = [{ $residual `,` $branch `,` $gate (`shown` $shown^)? attr-dict
      `:` type($residual) `,` type($gate) (`,` type($shown)^)? }];
  let hasVerifier = 1;
}

def Vlm_MaskFeaturesOp : Vlm_TensorOp<"mask_features", [AllTypesMatch<["input", "result"]>]> {
  let summary = "the lowest finite number in the place of some features";
  let description = [{
    - Shapes: `input`, `result` `[..., D]`; `ranges` `begin, end, begin, end, ...`: ascending stretches of features within D, each from its begin to
      before its end.
    - Source: the logits of a picture's tokens in ChameleonForConditionalGeneration of transformers.
    ```mlir
    %y = vlm.mask_features %x {ranges = array<i64: 4, 12, 20, 21>} : tensor<1x?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, DenseI64ArrayAttr:$ranges);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Vlm_RopeTableOp : Vlm_TensorOp<"rope_table"> {
  let summary = "the cosines and sines of a rotary position embedding";
  let description = [{
    Row t holds `scale * cos(position[t] * frequency[i])` for each i, then the sines. The product is rounded to f32 before the cosine is taken, as
    transformers does.
    - Shapes: `position` `[B, T]` i32, `frequencies` of F numbers, `result` `[B, T, 2F]`.
    - Source: RoFormer, arXiv:2104.09864; LlamaRotaryEmbedding in transformers (`attention_scaling` is `scale`).
    ```mlir
    %c = vlm.rope_table %p {frequencies = array<f32: 1.0, 1.000000e-01>, scale = 1.000000e+00 : f64} : (tensor<1x?xi32>) -> tensor<1x?x4xf32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[I32]>:$position, DenseF32ArrayAttr:$frequencies, DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$position attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_RopeOp : Vlm_TensorOp<"rope", [AllTypesMatch<["input", "result"]>]> {
  let summary = "rotate the features of every head by the token's position";
  let description = [{
    Each head's first 2F features are F pairs; pair i is turned by the angle whose cosine and sine stand at i and F + i of the token's row of `table`:
    `(a, b)` becomes `(a cos - b sin, b cos + a sin)`. The pairs are `(i, F + i)`, or `(2i, 2i + 1)` where `interleaved`. Features of a head behind
    the first 2F stay as they are.
    - Shapes: `input`, `result` `[B, T, num_heads*Dh]`, `table` `[B, T, 2F]` with 2F <= Dh.
    - Source: RoFormer, arXiv:2104.09864; apply_rotary_pos_emb in transformers.
    ```mlir
    %y = vlm.rope %x, %c {num_heads = 4 : i64} : tensor<1x?x64xf32>, tensor<1x?x16xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$table, I64Attr:$num_heads, UnitAttr:$interleaved);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $table attr-dict `:` type($input) `,` type($table)";
  let hasVerifier = 1;
}

//===-- Tokens ---------------------------------------------------------------------------------------------------------------------===//

def Vlm_EmbeddingOp : Vlm_TensorOp<"embedding"> {
  let summary = "rows of a table by id";
  let description = [{
    Ids outside the table are refused by the runtime before an entry runs (the entry's input carries the range).
    - Shapes: `ids` `[B, T]`, `table` `[V, D]`, `result` `[B, T, D]`.
    ```mlir
    %y = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Ids:$ids, Vlm_Float:$table);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_AddGridPositionsOp : Vlm_TensorOp<"add_grid_positions", [AllTypesMatch<["input", "result"]>]> {
  let summary = "positions of patches added in pictures that have lines and columns of their own";
  let description = [{
    Token t of a picture of h lines and w columns stands in line t / w and column t % w; tokens from h * w on count as the first. What is added is
    the table, a square of S x S rows, resized to h x w, bilinear with antialiasing: line i of h reads the lines around S / h * (i + 1/2) by a triangle
    of half the width max(1, S / h), normalised, columns alike; of a single column, where h is not S, all lines read what line 0 does, as PyTorch's CPU
    kernel has it. With `boundaries`, ascending, it is a row of the table: place i of n is in as many
    buckets behind the first as boundaries are at most min(i * (1 / n), 1 - 1e-6), in f32.
    - Shapes: `input`, `result` `[B, T, D]`, `table` `[S*S, D]`, `grid` `[B, 2]` i64, lines and columns, both at least 1.
    - Types: float; weights and sums in f32, columns before lines.
    - Source: torch.nn.functional.interpolate with antialias, as Siglip2VisionEmbeddings in transformers uses it; with `boundaries`
      Idefics2VisionEmbeddings there, after NaViT, arXiv:2307.06304.
    ```mlir
    %y = vlm.add_grid_positions %x, %p, %g : tensor<?x?x64xf32>, tensor<16x64xf32>, tensor<?x2xi64>
    %z = vlm.add_grid_positions %x, %p, %g {boundaries = array<f32: 2.500000e-01, 5.000000e-01, 7.500000e-01>}
        : tensor<?x?x64xf32>, tensor<16x64xf32>, tensor<?x2xi64>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$table, RankedTensorOf<[I64]>:$grid, OptionalAttr<DenseF32ArrayAttr>:$boundaries);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $table `,` $grid attr-dict `:` type($input) `,` type($table) `,` type($grid)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Lines, and columns, of the table.
    int64_t getSide();
  }];
}

def Vlm_PrependTokensOp : Vlm_ReshapingTensorOp<"prepend_tokens"> {
  let summary = "tokens in front of every sequence";
  let description = [{
    - Shapes: `tokens` `[P, D]`, the same for every sequence, or `[B, P, D]`, `input` `[B, T, D]` with static T, `result` `[B, P+T, D]`.
    - Source: the class token of ViT, arXiv:2010.11929; the latents beside what they attend to in the Perceiver Resampler, arXiv:2204.14198.
    ```mlir
    %y = vlm.prepend_tokens %cls, %x : (tensor<1x64xf32>, tensor<?x49x64xf32>) -> tensor<?x50x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$tokens, Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$tokens `,` $input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_ReplaceTokensOp : Vlm_ReshapingTensorOp<"replace_tokens", [AllTypesMatch<["input", "result"]>]> {
  let summary = "other tokens in the place of the first ones";
  let description = [{
    The first P tokens of every sequence become those of `tokens`, one set for all sequences or one for each.
    - Shapes: `tokens` `[P, D]` or `[B, P, D]`, `input`, `result` `[B, T, D]` with T at least P (an entry's symbol says so where T is dynamic).
    - Source: the queries in front of the words in Blip2QFormerModel of transformers, which have layers of their own.
    ```mlir
    %y = vlm.replace_tokens %q, %x : tensor<?x4x64xf32>, tensor<?x?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$tokens, Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$tokens `,` $input attr-dict `:` type($tokens) `,` type($input)";
  let hasVerifier = 1;
}

def Vlm_MeanTokensOp : Vlm_TensorOp<"mean_tokens"> {
  let summary = "the mean of every sequence's tokens";
  let description = [{
    - Shapes: `input` `[B, T, D]`, `result` `[B, D]`.
    - Types: float; the sum in f64 in ascending t.
    - Source: the mean over queries of Blip2ForImageTextRetrieval in transformers.
    ```mlir
    %y = vlm.mean_tokens %x : (tensor<?x4x2xf32>) -> tensor<?x2xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_MaxTokensOp : Vlm_TensorOp<"max_tokens"> {
  let summary = "the largest of every sequence's tokens, feature by feature";
  let description = [{
    - Shapes: `input` `[B, T, D]`, `result` `[B, D]`.
    - Source: the pooling of AlignVisionModel in transformers where `pooling_type` is max.
    ```mlir
    %y = vlm.max_tokens %x : (tensor<?x4x16xf32>) -> tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_AveragePoolOp : Vlm_TensorOp<"average_pool"> {
  let summary = "the mean of each square of pixels";
  let description = [{
    Squares of `size` x `size` pixels stand side by side; rows and columns that do not fill one are left out.
    - Shapes: `input` `[B, H*W, C]`, pixels row by row, `height` H, `width` W, `result` `[B, (H/size)*(W/size), C]`.
    - Types: float; the sum in f32, row by row.
    - Source: torch.nn.AvgPool2d as open_clip.modified_resnet uses it.
    ```mlir
    %y = vlm.average_pool %x {height = 8 : i64, width = 8 : i64, size = 2 : i64} : (tensor<?x64x16xf32>) -> tensor<?x16x16xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, I64Attr:$height, I64Attr:$width, I64Attr:$size);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_PixelUnshuffleOp : Vlm_TensorOp<"pixel_unshuffle"> {
  let summary = "squares of tokens side by side as one token's features";
  let description = [{
    Tokens are those of a grid, row by row. A square of `size` x `size` of them becomes one, whose features are theirs, row by row; with `transposed`
    the squares are taken column by column.
    - Shapes: `input` `[B, height*width, C]`, `result` `[B, (height/size)*(width/size), size*size*C]`; `size` divides both sides.
    - Source: InternVLModel.pixel_shuffle in transformers; `ps_version` v1 of InternVL's own code is `transposed`.
    ```mlir
    %y = vlm.pixel_unshuffle %x {height = 4 : i64, width = 4 : i64, size = 2 : i64} : (tensor<?x16x64xf32>) -> tensor<?x4x256xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, I64Attr:$height, I64Attr:$width, I64Attr:$size, UnitAttr:$transposed);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_TokenIndexOp : Vlm_TensorOp<"token_index"> {
  let summary = "the position of a token in each sequence";
  let description = [{
    `first_equal` is the first position whose id is `id` (0 where there is none), `argmax` the first position of the largest id.
    - Shapes: `ids` `[B, T]`, `result` `[B, 1]` i32.
    - Source: the end-of-text pooling of CLIPTextTransformer in transformers.
    ```mlir
    %i = vlm.token_index first_equal %ids {id = 99 : i64} : (tensor<?x?xi64>) -> tensor<?x1xi32>
    ```
  }];
  let arguments = (ins Vlm_TokenIndexKindAttr:$kind, RankedTensorOf<[I64]>:$ids, DefaultValuedAttr<I64Attr, "0">:$id);
  let results = (outs RankedTensorOf<[I32]>:$result);
  let assemblyFormat = "$kind $ids attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_LeastFeatureOp : Vlm_TensorOp<"least_feature"> {
  let summary = "the number of the least feature of each row";
  let description = [{
    The first of several that are equal. With `ids` the result is the number that stands there for the feature.
    - Shapes: `input` `[B, T, D]`, `ids` D numbers (may be absent), `result` `[B, T]` i32.
    - Source: the nearest entry of a codebook in ChameleonVQVAEVectorQuantizer of transformers, whose `ids` are those of the vocabulary.
    ```mlir
    %i = vlm.least_feature %x : (tensor<?x16x8xf32>) -> tensor<?x16xi32>
    %j = vlm.least_feature %y {ids = array<i32: 7, 5, 6>} : (tensor<?x16x3xf32>) -> tensor<?x16xi32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, OptionalAttr<DenseI32ArrayAttr>:$ids);
  let results = (outs RankedTensorOf<[I32]>:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_TakeTokensOp : Vlm_ReshapingTensorOp<"take_tokens"> {
  let summary = "chosen tokens of each sequence";
  let description = [{
    With `index` the tokens named there, without it the one at `position`, where -1 is the last token, -2 the one before it.
    - Shapes: `input` `[B, T, D]`, `index` `[B, R]` i32 (each less than T), `result` `[B, R, D]` (R = 1 with `position`).
    ```mlir
    %y = vlm.take_tokens %x at 0 : (tensor<?x50x64xf32>) -> tensor<?x1x64xf32>
    %z = vlm.take_tokens %x index %i : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
    %l = vlm.take_tokens %x at -1 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Optional<RankedTensorOf<[I32]>>:$index, OptionalAttr<I64Attr>:$position);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input (`index` $index^)? (`at` $position^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_SliceTokensOp : Vlm_TensorOp<"slice_tokens"> {
  let summary = "tokens [begin, end) of every sequence";
  let description = [{
    - Shapes: `input` `[B, T, D]`, `result` `[B, end - begin, D]`, 0 <= begin < end <= T (an entry's symbol says so where T is dynamic).
    - Source: the features of a tower without its class token (`vision_feature_select_strategy` of LlavaModel in transformers).
    ```mlir
    %y = vlm.slice_tokens %x [1, 50] : (tensor<?x50x64xf32>) -> tensor<?x49x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, I64Attr:$begin, I64Attr:$end);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `[` $begin `,` $end `]` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_SqueezeOp : Vlm_ReshapingTensorOp<"squeeze"> {
  let summary = "drop a dimension of size 1";
  let description = [{
    A view: nothing is computed at run time.
    - Shapes: `input` `[B, 1, D]`, `result` `[B, D]`; or `[1, T, D]` and `[T, D]`.
    ```mlir
    %y = vlm.squeeze %x : (tensor<?x1x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_SliceFeaturesOp : Vlm_TensorOp<"slice_features"> {
  let summary = "features [begin, end) of every row";
  let description = [{
    - Shapes: `input` `[..., D]`, `result` `[..., end - begin]`, 0 <= begin < end <= D.
    ```mlir
    %k = vlm.slice_features %qkv [64, 128] : (tensor<?x50x192xf32>) -> tensor<?x50x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, I64Attr:$begin, I64Attr:$end);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `[` $begin `,` $end `]` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_ConcatFeaturesOp : Vlm_TensorOp<"concat_features"> {
  let summary = "rows side by side";
  let description = [{
    - Shapes: `inputs` `[..., Di]`, of one shape but for their features, `result` `[..., sum of Di]`.
    - Source: the features of several layers in LlavaModel and VipLlavaModel of transformers.
    ```mlir
    %y = vlm.concat_features %a, %b : (tensor<?x50x64xf32>, tensor<?x50x32xf32>) -> tensor<?x50x96xf32>
    ```
  }];
  let arguments = (ins Variadic<Vlm_Float>:$inputs);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_MergeTokensOp : Vlm_TensorOp<"merge_tokens", [AllTypesMatch<["input", "result"]>]> {
  let summary = "put features of pictures in the place of tokens";
  let description = [{
    Token t becomes row `row[t]` of `features` where that is not negative, and stays as it is elsewhere.
    - Shapes: `input`, `result` `[1, T, D]`, `features` `[M, D]`, `row` `[1, T]` i32, each less than M (checked before an entry runs).
    - Source: the masked_scatter of image features in LlavaModel and its like in transformers.
    ```mlir
    %y = vlm.merge_tokens %x, %f, %r : tensor<1x?x64xf32>, tensor<?x64xf32>, tensor<1x?xi32>
    ```
  }];
  let arguments = (ins Vlm_Float:$input, Vlm_Float:$features, RankedTensorOf<[I32]>:$row);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = "$input `,` $features `,` $row attr-dict `:` type($input) `,` type($features) `,` type($row)";
  let hasVerifier = 1;
}

//===-- Caches ---------------------------------------------------------------------------------------------------------------------===//

def Vlm_CacheLayerOp : Vlm_Op<"cache_layer", [Pure]> {
  let summary = "one layer of a cache";
  let description = [{
    - Shapes: `cache` `[L, 2, Hkv, Dh]`, `result` `[2, Hkv, Dh]`, both with the encoding `#vlm.cache`.
    ```mlir
    %c = vlm.cache_layer %cache[1] : (tensor<2x2x4x16xf32, #vlm.cache>) -> tensor<2x4x16xf32, #vlm.cache>
    ```
  }];
  let arguments = (ins RankedTensorOf<[AnyFloat]>:$cache, I64Attr:$layer);
  let results = (outs RankedTensorOf<[AnyFloat]>:$result);
  let assemblyFormat = "$cache `[` $layer `]` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Vlm_CachedAttentionOp : Vlm_Op<"cached_attention", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<Vlm_DimsOpInterface, ["getDimSource"]>]> {
  let summary = "append keys and values to a cache, then attend to it";
  let description = [{
    Tokens are those of several sequences, one behind the other without padding: `sequence` numbers the cache's sequences, `position` is the token's
    place in its sequence, ascending by one within it. Each token's key and value are written to the cache at its place; each query then attends to
    the keys of its own sequence at places not after its own (`causal`; with `window` W only to the last W of them).
    A query's result depends on its own sequence alone, and not on how the sequence was cut into runs: keys are taken in tiles of 64 places.

    With `query_sequence`, `first` and `last` the queries are those of other tokens than the keys, as in attention to the features of pictures or to an
    encoder's output, which are written once: a query attends to the keys at places `first` to `last - 1` of its sequence, whatever stands around
    them, and where there is none its result is zero. The keys of a call may then be none at all (T = 0).

    With `first` and `last` alone a query sees the places `first` to `last - 1` of its sequence as well, behind its own and outside of the window, with
    all between them and its own; where `first` is not less than `last`, they add nothing. So the tokens of a prefix, or of a picture, see each other.
    Keys up to `last - 1` have to be of this call or of calls before.

    With `distance_bias`, which is not there with `query_sequence`, the score of a key at place j for a query at place p grows by element `j - p + E` of
    the head's row; what is less than 0 or more than 2 E counts as that. It is added behind `softcap`.
    - Shapes: `query` `[1, R, num_heads*Dh]`, `key`, `value` `[1, T, Hkv*Dh]`, `cache` `[2, Hkv, Dh]` (`#vlm.cache`), `sequence`, `position`
      `[1, T]` i32, `query_token` `[1, R]` i32 (the token that each query belongs to; absent: R = T), `query_sequence`, `first`, `last` `[1, Q]`
      i32 (the tokens are then these; without `query_token` R = Q; without `query_sequence` Q = T), `distance_bias` `[num_heads, 2*E + 1]`, `result`
      `[1, R, num_heads*Dh]`.
    - Types: f32; scores, softmax and sums in f32. `softcap` C makes a score s into `C tanh(s / C)`; 0 leaves it.
    - Source: LlamaAttention and MistralAttention in transformers; with ranges IdeficsAttention, with `first` and `last` alone
      PaliGemmaModel (`blockwise_overlay`), with `distance_bias` T5Attention; online softmax, arXiv:1805.02867.
    ```mlir
    %y = vlm.cached_attention %q, %k, %v, %c sequence %s position %p {num_heads = 4 : i64, scale = 2.500000e-01 : f64}
        : (tensor<1x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<2x2x16xf32, #vlm.cache>, tensor<1x?xi32>, tensor<1x?xi32>) -> tensor<1x?x64xf32>
    ```
  }];
  let arguments = (ins Vlm_Float:$query, Vlm_Float:$key, Vlm_Float:$value, RankedTensorOf<[AnyFloat]>:$cache, RankedTensorOf<[I32]>:$sequence,
      RankedTensorOf<[I32]>:$position, Optional<RankedTensorOf<[I32]>>:$query_token, Optional<RankedTensorOf<[I32]>>:$query_sequence,
      Optional<RankedTensorOf<[I32]>>:$first, Optional<RankedTensorOf<[I32]>>:$last, Optional<Vlm_Float>:$distance_bias,
      I64Attr:$num_heads, F64Attr:$scale, DefaultValuedAttr<I64Attr, "0">:$window, DefaultValuedAttr<F64Attr, "0.0">:$softcap);
  let results = (outs Vlm_Float:$result);
  let assemblyFormat = [{ $query `,` $key `,` $value `,` $cache `sequence` $sequence `position` $position (`query_token` $query_token^)?
      (`query_sequence` $query_sequence^)? (`first` $first^ `last` $last)? (`distance_bias` $distance_bias^)? attr-dict
      `:` functional-type(operands, results) }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether queries are of other tokens than keys, and see ranges alone.
    bool hasOwnQueries() { return getQuerySequence() != nullptr; }
    /// Verifies what a query attends to where that is told by ranges.
    ::llvm::LogicalResult checkRanges();
  }];
}

//===-- Kernels --------------------------------------------------------------------------------------------------------------------===//

def Vlm_GroupOp : Vlm_Op<"group", [Pure, IsolatedFromAbove, SingleBlock]> {
  let summary = "ops that will be one kernel, while fusion grows them";
  let description = [{
    Between the graph border and `form-kernels`: the region of a kernel-to-be in place. `place-anchors` wraps each anchor, the fuse passes move
    producers and consumers in, `form-kernels` outlines each group to a `vlm.kernel`. Block arguments stand for the operands in order.
    ```mlir
    %y = vlm.group gemm (%a = %x, %b = %w) : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32> {
      %0 = vlm.linear %a, %b : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
      vlm.yield %0 : tensor<?x96xf32>
    }
    ```
  }];
  let arguments = (ins Vlm_AnchorKindAttr:$anchor, Variadic<Vlm_Any>:$inputs);
  let results = (outs Variadic<Vlm_Any>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Vlm_KernelOp : Vlm_Op<"kernel", [IsolatedFromAbove, Symbol, FunctionOpInterface]> {
  let summary = "a kernel: its region is its meaning";
  let description = [{
    An isolated symbol whose region of tensor-level `vlm` ops is what it computes: an anchor with prologue and epilogue. Weights, dims and buffers
    are operands of its calls; `strategy`, `tiles` and the layouts in the argument types say how it is done. Two kernels are equal when region,
    types and attributes are. The body holds nothing but tensor-level ops and ends in `vlm.yield`.
    - `anchor`: gemm, attention, cached_attention, rows (row by row), contrast (all pairs of rows)
    - `strategy`: the generator that makes its code; `"reference"` lowers the region through linalg. Absent until `tile`.
    ```mlir
    vlm.kernel @linear_64_96(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
      %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
      vlm.yield %0 : tensor<?x96xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type, Vlm_AnchorKindAttr:$anchor,
      OptionalAttr<StrAttr>:$strategy, OptionalAttr<DictionaryAttr>:$tiles, OptionalAttr<DictArrayAttr>:$arg_attrs,
      OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::mlir::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The yielded values, one per result.
    ::mlir::OperandRange getYielded() { return getBody().front().getTerminator()->getOperands(); }
  }];
}

def Vlm_CallOp : Vlm_Op<"call", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a kernel";
  let description = [{
    After planning, `slots` gives the arena slot of each result (-1: the result is an output of the entry), `temps` the slots of the kernel's
    temporaries and `scratch` the bytes that each thread needs; `label` says where in the model the call comes from.
    - Errors: no such kernel, or operand and result types that differ from its own (layouts included; dynamic sizes may meet static ones).
    ```mlir
    %y = vlm.call @linear_64_96(%x, %w) {label = "vision.proj"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<Vlm_Any>:$inputs, OptionalAttr<StrAttr>:$label,
      OptionalAttr<DenseI64ArrayAttr>:$slots, OptionalAttr<DenseI64ArrayAttr>:$temps, OptionalAttr<Vlm_SizeAttr>:$scratch);
  let results = (outs Variadic<Vlm_Any>:$results);
  let assemblyFormat = "$callee `(` $inputs `)` attr-dict `:` functional-type($inputs, $results)";
}

def Vlm_YieldOp : Vlm_Op<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["KernelOp", "GroupOp"]>]> {
  let summary = "the results of a kernel or group";
  let description = [{ Types are those of the parent's results. }];
  let arguments = (ins Variadic<Vlm_Any>:$operands);
  let assemblyFormat = "attr-dict ($operands^ `:` type($operands))?";
}

#endif // VLMC_IR_VLM_OPS_TD
