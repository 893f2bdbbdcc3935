// RUN: vlmc-opt %s --vlm-pack-weights --split-input-file --verify-diagnostics | FileCheck %s
// RUN: not vlmc-opt %s --vlm-pack-weights --split-input-file --remarks-filter=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: weight 'both' is stored a second time as f32.rows: 24576 bytes more
// CHECK-DAG: vlm.weight @patches : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">> = <pack "f32.panel16" (#vlm.recipe<read "p" : tensor<64x3x8x8xf32>>) : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>>
// CHECK-DAG: vlm.weight @both : tensor<96x64xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG: vlm.weight @both.rows : tensor<96x64xf32, #vlm.layout<"f32.rows">>
// CHECK-DAG: vlm.weight @bias : tensor<96xf32, #vlm.layout<"f32.vector">>
// CHECK-DAG: vlm.weight @positions : tensor<16x64xf32, #vlm.layout<"f32.rows">>
vlm.weight @patches : tensor<64x3x8x8xf32> = #vlm.recipe<read "p" : tensor<64x3x8x8xf32>>
vlm.weight @both : tensor<96x64xf32> = #vlm.recipe<read "b" : tensor<96x64xf32>>
vlm.weight @bias : tensor<96xf32> = #vlm.recipe<read "c" : tensor<96xf32>>
vlm.weight @positions : tensor<16x64xf32> = #vlm.recipe<read "e" : tensor<16x64xf32>>

// CHECK-LABEL: func.func @entry
// CHECK-DAG:     %[[P:.+]] = vlm.get_weight @patches : tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG:     %[[W:.+]] = vlm.get_weight @both : tensor<96x64xf32, #vlm.layout<"f32.panel16">>
// CHECK-DAG:     %[[R:.+]] = vlm.get_weight @both.rows : tensor<96x64xf32, #vlm.layout<"f32.rows">>
// CHECK-DAG:     %[[E:.+]] = vlm.get_weight @positions
// CHECK:         vlm.call @patch_embed(%{{.*}}, %[[P]], %[[E]])
// CHECK:         vlm.call @linear(%{{.*}}, %[[W]], %{{.*}})
// CHECK:         vlm.call @embedding(%{{.*}}, %[[R]])
func.func @entry(%x: tensor<?x3x32x32xf32>, %ids: tensor<?x?xi64>) -> (tensor<?x16x96xf32>, tensor<?x?x64xf32>) {
  %p = vlm.get_weight @patches : tensor<64x3x8x8xf32>
  %w = vlm.get_weight @both : tensor<96x64xf32>
  %b = vlm.get_weight @bias : tensor<96xf32>
  %e = vlm.get_weight @positions : tensor<16x64xf32>
  %0 = vlm.call @patch_embed(%x, %p, %e) : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>, tensor<16x64xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.call @linear(%0, %w, %b) : (tensor<?x16x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x16x96xf32>
  %2 = vlm.call @embedding(%ids, %w) : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x64xf32>
  return %1, %2 : tensor<?x16x96xf32>, tensor<?x?x64xf32>
}
// CHECK: vlm.kernel @patch_embed(%{{.*}}, %{{.*}}: tensor<64x3x8x8xf32, #vlm.layout<"f32.panel16">>, %{{.*}}: tensor<16x64xf32, #vlm.layout<"f32.rows">>)
vlm.kernel @patch_embed(%x: tensor<?x3x32x32xf32>, %p: tensor<64x3x8x8xf32>, %e: tensor<16x64xf32>) -> tensor<?x16x64xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.patch_embed %x, %p : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.add %0, %e : tensor<?x16x64xf32>, tensor<16x64xf32>
  vlm.yield %1 : tensor<?x16x64xf32>
}
// CHECK: vlm.kernel @linear(%{{.*}}, %{{.*}}: tensor<96x64xf32, #vlm.layout<"f32.panel16">>, %{{.*}}: tensor<96xf32, #vlm.layout<"f32.vector">>)
vlm.kernel @linear(%x: tensor<?x16x64xf32>, %w: tensor<96x64xf32>, %b: tensor<96xf32>) -> tensor<?x16x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w bias %b : (tensor<?x16x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x16x96xf32>
  vlm.yield %0 : tensor<?x16x96xf32>
}
// CHECK: vlm.kernel @embedding
vlm.kernel @embedding(%ids: tensor<?x?xi64>, %t: tensor<96x64xf32>) -> tensor<?x?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows"} {
  %0 = vlm.embedding %ids, %t : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x64xf32>
  vlm.yield %0 : tensor<?x?x64xf32>
}

// -----

// Reference kernels read plain rows.
// CHECK: vlm.weight @w : tensor<96x64xf32, #vlm.layout<"f32.rows">>
vlm.weight @w : tensor<96x64xf32> = #vlm.recipe<read "b" : tensor<96x64xf32>>
func.func @entry(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  %w = vlm.get_weight @w : tensor<96x64xf32>
  %0 = vlm.call @linear(%x, %w) : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}
vlm.kernel @linear(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "reference"} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  vlm.yield %0 : tensor<?x96xf32>
}

// -----

vlm.weight @w : tensor<64x64xf32> = #vlm.recipe<read "b" : tensor<64x64xf32>>
func.func @entry(%x: tensor<?x64xf32>, %v: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %w = vlm.get_weight @w : tensor<64x64xf32>
  %0 = vlm.call @linear(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @linear(%0, %v) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
// expected-error@+1 {{argument 1 is a weight in some calls and a value in others; run --vlm-dedupe-kernels on kernels of their own}}
vlm.kernel @linear(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

vlm.weight @w : tensor<96x64xf32> = #vlm.recipe<read "b" : tensor<96x64xf32>>
func.func @entry(%ids: tensor<?x?xi64>) -> tensor<?x?x96xf32> {
  %w = vlm.get_weight @w : tensor<96x64xf32>
  %0 = vlm.call @tied(%ids, %w) : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x96xf32>
  return %0 : tensor<?x?x96xf32>
}
// expected-error@+1 {{argument 1 is read in two layouts, f32.panel16 and f32.rows; pass the weight twice}}
vlm.kernel @tied(%ids: tensor<?x?xi64>, %w: tensor<96x64xf32>) -> tensor<?x?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.embedding %ids, %w : (tensor<?x?xi64>, tensor<96x64xf32>) -> tensor<?x?x64xf32>
  %1 = vlm.linear %0, %w : (tensor<?x?x64xf32>, tensor<96x64xf32>) -> tensor<?x?x96xf32>
  vlm.yield %1 : tensor<?x?x96xf32>
}
