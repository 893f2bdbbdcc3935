// RUN: vlmc-opt %s --vlm-verify-kernels --split-input-file --verify-diagnostics

func.func @schedule(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {vlm.entry} {
  // expected-error@+1 {{stands in entry 'schedule', which may hold get_weight, call and return only}}
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @argument(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {vlm.entry} {
  // expected-error@+1 {{result 0 of entry 'argument' must be the result of a call}}
  return %x : tensor<?x64xf32>
}

// -----

func.func @twice(%ids: tensor<?x?xi64>) -> (tensor<?x1xi32>, tensor<?x1xi32>) attributes {vlm.entry} {
  %0 = vlm.call @index(%ids) : (tensor<?x?xi64>) -> tensor<?x1xi32>
  // expected-error@+1 {{result 1 of entry 'twice' is given back twice; each output has its own buffer}}
  return %0, %0 : tensor<?x1xi32>, tensor<?x1xi32>
}
vlm.kernel @index(%ids: tensor<?x?xi64>) -> tensor<?x1xi32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  vlm.yield %0 : tensor<?x1xi32>
}

// -----

// expected-error@+1 {{is never called}}
vlm.kernel @alone(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @labels(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {vlm.entry} {
  %0 = vlm.call @k(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  // expected-error@+1 {{in kernel 'k' must not have 'vlm.label': it belongs to the call}}
  %0 = vlm.l2_normalize %x {vlm.label = "a"} : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// The forms: all wrong kernels of this part are called by one entry.
func.func @forms(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %i: tensor<?x9x64xf32>, %p: tensor<64x1x3x3xf32>,
    %g: tensor<1xf32>) attributes {vlm.entry} {
  %0:2 = vlm.call @results(%x) : (tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>)
  %1 = vlm.call @unread(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %2 = vlm.call @nothing(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %3 = vlm.call @no_anchor(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %4 = vlm.call @two_anchors(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %5 = vlm.call @wrong_anchor(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %6 = vlm.call @computed_weight(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %7 = vlm.call @two_readers(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %8 = vlm.call @epilogue(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %9 = vlm.call @right_product(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %10 = vlm.call @computed_addend(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %11 = vlm.call @attention(%i) : (tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  %12 = vlm.call @rows(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %14 = vlm.call @gated_residual(%x, %w, %g) : (tensor<?x64xf32>, tensor<64x64xf32>, tensor<1xf32>) -> tensor<?x64xf32>
  %13 = vlm.call @after_attention(%i) : (tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return
}
// expected-error@+1 {{must have one result, but has 2}}
vlm.kernel @results(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0, %0 : tensor<?x64xf32>, tensor<?x64xf32>
}
vlm.kernel @unread(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  // expected-error@+1 {{is computed by kernel 'unread', but nobody reads it}}
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %x : tensor<?x64xf32>
}
// expected-error@+1 {{computes nothing}}
vlm.kernel @nothing(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  vlm.yield %x : tensor<?x64xf32>
}
// expected-error@+1 {{is anchored by 'gemm', but holds no such op}}
vlm.kernel @no_anchor(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
vlm.kernel @two_anchors(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  // expected-error@+1 {{is a second anchor in kernel 'two_anchors'; a kernel has one}}
  %1 = vlm.linear %0, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %1 : tensor<?x64xf32>
}
vlm.kernel @wrong_anchor(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  // expected-error@+1 {{cannot be the anchor of kernel 'wrong_anchor', which is anchored by 'attention'}}
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
vlm.kernel @computed_weight(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.l2_normalize %w : tensor<64x64xf32>
  // expected-error@+1 {{must read its weight and bias from the kernel's arguments}}
  %1 = vlm.linear %x, %0 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %1 : tensor<?x64xf32>
}
vlm.kernel @two_readers(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  // expected-error@+1 {{is in the epilogue of a product and must have one reader}}
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.add %0, %0 : tensor<?x64xf32>, tensor<?x64xf32>
  vlm.yield %1 : tensor<?x64xf32>
}
vlm.kernel @epilogue(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  // expected-error@+1 {{cannot be in the epilogue of a product; activation, add, gated_add, scale and squeeze can}}
  %1 = vlm.l2_normalize %0 : tensor<?x64xf32>
  vlm.yield %1 : tensor<?x64xf32>
}
vlm.kernel @right_product(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  // expected-error@+1 {{in the epilogue of a product must have the product as its left operand}}
  %1 = vlm.add %x, %0 : tensor<?x64xf32>, tensor<?x64xf32>
  vlm.yield %1 : tensor<?x64xf32>
}
vlm.kernel @gated_residual(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %g: tensor<1xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  // expected-error@+1 {{in the epilogue of a product must have the product as its branch and arguments beside it}}
  %1 = vlm.gated_add %0, %x, %g : tensor<?x64xf32>, tensor<1xf32>
  vlm.yield %1 : tensor<?x64xf32>
}
vlm.kernel @computed_addend(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.activation relu %x : tensor<?x64xf32>
  // expected-error@+1 {{in the epilogue of a product must add an argument or a view of one}}
  %2 = vlm.add %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
  vlm.yield %2 : tensor<?x64xf32>
}
vlm.kernel @attention(%x: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  // expected-error@+1 {{cannot be in an attention kernel; slice_features of an argument, read as query, key or value, can}}
  %0 = vlm.activation relu %x : tensor<?x9x64xf32>
  %1 = vlm.attention %0, %x, %x {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  vlm.yield %1 : tensor<?x9x64xf32>
}
vlm.kernel @rows(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  // expected-error@+1 {{cannot be in kernel 'rows', which works row by row}}
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
vlm.kernel @after_attention(%x: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> attributes {anchor = #vlm<anchor_kind attention>} {
  %0 = vlm.attention %x, %x, %x {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  // expected-error@+1 {{is neither before nor after the anchor of kernel 'after_attention'}}
  %1 = vlm.activation relu %0 : tensor<?x9x64xf32>
  vlm.yield %1 : tensor<?x9x64xf32>
}

// -----

func.func @prologue(%x: tensor<?x9x64xf32>, %p: tensor<64x3x8x8xf32>, %ids: tensor<?x?xi64>, %w: tensor<64x64xf32>, %g: tensor<?x3x32x32xf32>)
    attributes {vlm.entry} {
  %0 = vlm.call @token(%x, %ids, %w) : (tensor<?x9x64xf32>, tensor<?x?xi64>, tensor<64x64xf32>) -> tensor<?x1x64xf32>
  %1 = vlm.call @pixels(%g, %p) : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  return
}
vlm.kernel @token(%x: tensor<?x9x64xf32>, %ids: tensor<?x?xi64>, %w: tensor<64x64xf32>) -> tensor<?x1x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  // expected-error@+1 {{cannot be in the prologue of a product; row-wise ops can}}
  %0 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %1 = vlm.take_tokens %x index %0 : (tensor<?x9x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  %2 = vlm.linear %1, %w : (tensor<?x1x64xf32>, tensor<64x64xf32>) -> tensor<?x1x64xf32>
  vlm.yield %2 : tensor<?x1x64xf32>
}
vlm.kernel @pixels(%x: tensor<?x3x32x32xf32>, %p: tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.activation relu %x : tensor<?x3x32x32xf32>
  // expected-error@+1 {{must read its pixels from the kernel's arguments}}
  %1 = vlm.patch_embed %0, %p : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  vlm.yield %1 : tensor<?x16x64xf32>
}
