// Each op's example, through text, generic form and bytecode and back.
// RUN: vlmc-opt %s --verify-roundtrip | FileCheck %s

// CHECK: vlm.weight @vision.proj : tensor<64x32xf32> = <read "visual_projection.weight" : tensor<64x32xf32>>
vlm.weight @vision.proj : tensor<64x32xf32> = #vlm.recipe<read "visual_projection.weight" : tensor<64x32xf32>>

// CHECK-LABEL: func.func @get_weight
func.func @get_weight() -> tensor<64x32xf32> {
  // CHECK: vlm.get_weight @vision.proj : tensor<64x32xf32>
  %w = vlm.get_weight @vision.proj : tensor<64x32xf32>
  return %w : tensor<64x32xf32>
}

// CHECK-LABEL: func.func @linear
func.func @linear(%x: tensor<?x50x64xf32>, %w: tensor<96x64xf32>, %b: tensor<96xf32>) -> tensor<?x50x96xf32> {
  // CHECK: vlm.linear %{{.*}}, %{{.*}} bias %{{.*}} : (tensor<?x50x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x50x96xf32>
  %y = vlm.linear %x, %w bias %b : (tensor<?x50x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x50x96xf32>
  // CHECK: vlm.linear %{{.*}}, %{{.*}} {vlm.label = "no bias"} : (tensor<?x50x64xf32>, tensor<96x64xf32>) -> tensor<?x50x96xf32>
  %z = vlm.linear %x, %w {vlm.label = "no bias"} : (tensor<?x50x64xf32>, tensor<96x64xf32>) -> tensor<?x50x96xf32>
  return %y : tensor<?x50x96xf32>
}

// CHECK-LABEL: func.func @patch_embed
func.func @patch_embed(%pixels: tensor<?x3x32x32xf32>, %w: tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32> {
  // CHECK: vlm.patch_embed %{{.*}}, %{{.*}} : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %y = vlm.patch_embed %pixels, %w : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  return %y : tensor<?x16x64xf32>
}

// CHECK-LABEL: func.func @conv2d
func.func @conv2d(%x: tensor<?x64x16xf32>, %p: tensor<?x16x8x8xf32>, %w: tensor<32x3x3x16xf32>, %b: tensor<32xf32>)
    -> (tensor<?x64x32xf32>, tensor<?x16x32xf32>) {
  // CHECK: vlm.conv2d %{{.*}}, %{{.*}} {height = 8 : i64, padding = array<i64: 1, 1, 1, 1>, stride = 1 : i64, width = 8 : i64}
  %y = vlm.conv2d %x, %w {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x64x16xf32>, tensor<32x3x3x16xf32>) -> tensor<?x64x32xf32>
  // CHECK: vlm.conv2d %{{.*}}, %{{.*}} bias %{{.*}} {
  %z = vlm.conv2d %p, %w bias %b {height = 8 : i64, width = 8 : i64, stride = 2 : i64, padding = array<i64: 0, 0, 1, 1>}
      : (tensor<?x16x8x8xf32>, tensor<32x3x3x16xf32>, tensor<32xf32>) -> tensor<?x16x32xf32>
  return %y, %z : tensor<?x64x32xf32>, tensor<?x16x32xf32>
}

// CHECK-LABEL: func.func @average_pool
func.func @average_pool(%x: tensor<?x64x16xf32>) -> tensor<?x16x16xf32> {
  // CHECK: vlm.average_pool %{{.*}} {height = 8 : i64, size = 2 : i64, width = 8 : i64} : (tensor<?x64x16xf32>) -> tensor<?x16x16xf32>
  %y = vlm.average_pool %x {height = 8 : i64, width = 8 : i64, size = 2 : i64} : (tensor<?x64x16xf32>) -> tensor<?x16x16xf32>
  return %y : tensor<?x16x16xf32>
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x?x64xf32>, %k: tensor<?x?x64xf32>, %v: tensor<?x?x64xf32>, %m: tensor<?x?xi64>, %p: tensor<?x?xi32>)
    -> tensor<?x?x64xf32> {
  // CHECK: vlm.attention %{{.*}}, %{{.*}}, %{{.*}} key_valid %{{.*}} {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
  %y = vlm.attention %q, %k, %v key_valid %m {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  // CHECK: vlm.attention %{{.*}}, %{{.*}}, %{{.*}} query_position %{{.*}} key_valid
  %z = vlm.attention %q, %k, %v query_position %p key_valid %m {causal, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  // CHECK: vlm.attention %{{.*}}, %{{.*}}, %{{.*}} key_valid %{{.*}} {among_invalid, num_heads
  %w = vlm.attention %q, %k, %v key_valid %m {among_invalid, num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
      : (tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?xi64>) -> tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}

// CHECK-LABEL: func.func @shared_query
func.func @shared_query(%q: tensor<1x2x64xf32>, %k: tensor<?x50x64xf32>) -> tensor<?x2x64xf32> {
  // CHECK: vlm.attention %{{.*}}, %{{.*}}, %{{.*}} {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
  // CHECK-SAME: : (tensor<1x2x64xf32>, tensor<?x50x64xf32>, tensor<?x50x64xf32>) -> tensor<?x2x64xf32>
  %y = vlm.attention %q, %k, %k {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
      : (tensor<1x2x64xf32>, tensor<?x50x64xf32>, tensor<?x50x64xf32>) -> tensor<?x2x64xf32>
  return %y : tensor<?x2x64xf32>
}

// CHECK-LABEL: func.func @contrastive_logits
func.func @contrastive_logits(%i: tensor<?x64xf32>, %t: tensor<?x64xf32>, %s: tensor<1xf32>) -> tensor<?x?xf32> {
  // CHECK: vlm.contrastive_logits %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<1xf32>) -> tensor<?x?xf32>
  %y = vlm.contrastive_logits %i, %t, %s : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<1xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @row_by_row
func.func @row_by_row(%x: tensor<?x50x64xf32>, %w: tensor<64xf32>, %positions: tensor<50x64xf32>, %u: tensor<?x64xf32>)
    -> (tensor<?x50x64xf32>, tensor<?x64xf32>) {
  // CHECK: vlm.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {epsilon = 1.000000e-05 : f64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  %a = vlm.layer_norm %x, %w, %w {epsilon = 1.000000e-05 : f64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  // CHECK: vlm.activation {{ ?}}quick_gelu %{{.*}} : tensor<?x50x64xf32>
  %b = vlm.activation quick_gelu %a : tensor<?x50x64xf32>
  // CHECK: vlm.add %{{.*}}, %{{.*}} : tensor<?x50x64xf32>, tensor<50x64xf32>
  %c = vlm.add %b, %positions : tensor<?x50x64xf32>, tensor<50x64xf32>
  // CHECK: vlm.l2_normalize %{{.*}} : tensor<?x64xf32>
  %d = vlm.l2_normalize %u : tensor<?x64xf32>
  return %c, %d : tensor<?x50x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func.func @tokens
func.func @tokens(%ids: tensor<?x?xi64>, %table: tensor<100x64xf32>, %cls: tensor<1x64xf32>, %x: tensor<?x49x64xf32>)
    -> (tensor<?x64xf32>, tensor<?x1x32xf32>) {
  // CHECK: vlm.embedding %{{.*}}, %{{.*}} : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  %e = vlm.embedding %ids, %table : (tensor<?x?xi64>, tensor<100x64xf32>) -> tensor<?x?x64xf32>
  // CHECK: vlm.prepend_tokens %{{.*}}, %{{.*}} : (tensor<1x64xf32>, tensor<?x49x64xf32>) -> tensor<?x50x64xf32>
  %p = vlm.prepend_tokens %cls, %x : (tensor<1x64xf32>, tensor<?x49x64xf32>) -> tensor<?x50x64xf32>
  // CHECK: vlm.token_index {{ ?}}first_equal %{{.*}} {id = 99 : i64} : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %i = vlm.token_index first_equal %ids {id = 99 : i64} : (tensor<?x?xi64>) -> tensor<?x1xi32>
  // CHECK: vlm.token_index {{ ?}}argmax %{{.*}} : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %j = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  // CHECK: vlm.take_tokens %{{.*}} at 0 : (tensor<?x50x64xf32>) -> tensor<?x1x64xf32>
  %y = vlm.take_tokens %p at 0 : (tensor<?x50x64xf32>) -> tensor<?x1x64xf32>
  // CHECK: vlm.take_tokens %{{.*}} index %{{.*}} : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  %z = vlm.take_tokens %e index %i : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  // CHECK: vlm.take_tokens %{{.*}} at -1 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  %l = vlm.take_tokens %e at -1 : (tensor<?x?x64xf32>) -> tensor<?x1x64xf32>
  // CHECK: vlm.squeeze %{{.*}} : (tensor<?x1x64xf32>) -> tensor<?x64xf32>
  %s = vlm.squeeze %y : (tensor<?x1x64xf32>) -> tensor<?x64xf32>
  // CHECK: vlm.replace_tokens %{{.*}}, %{{.*}} : tensor<?x1x64xf32>, tensor<?x?x64xf32>
  %r = vlm.replace_tokens %z, %e : tensor<?x1x64xf32>, tensor<?x?x64xf32>
  // CHECK: vlm.mean_tokens %{{.*}} : (tensor<?x?x64xf32>) -> tensor<?x64xf32>
  %m = vlm.mean_tokens %r : (tensor<?x?x64xf32>) -> tensor<?x64xf32>
  // CHECK: vlm.slice_features %{{.*}}[32, 64] : (tensor<?x1x64xf32>) -> tensor<?x1x32xf32>
  %k = vlm.slice_features %z [32, 64] : (tensor<?x1x64xf32>) -> tensor<?x1x32xf32>
  // CHECK: vlm.concat_features %{{.*}}, %{{.*}} : (tensor<?x1x64xf32>, tensor<?x1x32xf32>) -> tensor<?x1x96xf32>
  %both = vlm.concat_features %z, %k : (tensor<?x1x64xf32>, tensor<?x1x32xf32>) -> tensor<?x1x96xf32>
  return %s, %k : tensor<?x64xf32>, tensor<?x1x32xf32>
}

// CHECK-LABEL: func.func @group
func.func @group(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  // CHECK: vlm.group gemm (%[[A:.+]] = %{{.*}}, %[[B:.+]] = %{{.*}}) attributes {vlm.label = "proj"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32> {
  // CHECK:   %[[Y:.+]] = vlm.linear %[[A]], %[[B]]
  // CHECK:   vlm.yield %[[Y]] : tensor<?x96xf32>
  %y = vlm.group gemm (%a = %x, %b = %w) attributes {vlm.label = "proj"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32> {
    %0 = vlm.linear %a, %b : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
    vlm.yield %0 : tensor<?x96xf32>
  }
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: vlm.kernel @linear_64_96
// CHECK-SAME:    attributes {anchor = #vlm<anchor_kind gemm>}
vlm.kernel @linear_64_96(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  vlm.yield %0 : tensor<?x96xf32>
}

// CHECK-LABEL: func.func @call
func.func @call(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  // CHECK: vlm.call @linear_64_96(%{{.*}}, %{{.*}}) {label = "vision.proj", scratch = #vlm.size<64 * B + 8>, slots = array<i64: -1>, temps = array<i64: 0, 2>}
  %y = vlm.call @linear_64_96(%x, %w) {label = "vision.proj", slots = array<i64: -1>, temps = array<i64: 0, 2>, scratch = #vlm.size<8 + 64 * B>}
      : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}
