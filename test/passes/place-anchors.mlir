// RUN: vlmc-opt %s --vlm-place-anchors | FileCheck %s

// CHECK-LABEL: func.func @anchors
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x3x32x32xf32>, %[[P:[a-z0-9]+]]: tensor<64x3x8x8xf32>, %[[W:[a-z0-9]+]]: tensor<64x64xf32>
// CHECK:         %[[A:.+]] = vlm.group gemm (%{{.+}} = %[[X]], %{{.+}} = %[[P]]) attributes {vlm.label = "patches"}
// CHECK:           vlm.patch_embed
// CHECK:         %[[B:.+]] = vlm.group gemm (%{{.+}} = %[[A]], %{{.+}} = %[[W]])
// CHECK:           vlm.linear
// A value that is read three times enters once.
// CHECK:         %[[C:.+]] = vlm.group attention (%[[Q:.+]] = %[[B]]) :
// CHECK:           vlm.attention %[[Q]], %[[Q]], %[[Q]]
// Row-wise ops stay outside.
// CHECK:         %[[D:.+]] = vlm.activation {{ ?}}gelu %[[C]]
// CHECK:         return %[[D]]
func.func @anchors(%x: tensor<?x3x32x32xf32>, %p: tensor<64x3x8x8xf32>, %w: tensor<64x64xf32>) -> tensor<?x16x64xf32> {
  %0 = vlm.patch_embed %x, %p {vlm.label = "patches"} : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.linear %0, %w : (tensor<?x16x64xf32>, tensor<64x64xf32>) -> tensor<?x16x64xf32>
  %2 = vlm.attention %1, %1, %1 {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?x16x64xf32>) -> tensor<?x16x64xf32>
  %3 = vlm.activation gelu %2 : tensor<?x16x64xf32>
  return %3 : tensor<?x16x64xf32>
}

// CHECK-LABEL: func.func @contrast
// CHECK:         vlm.group contrast
func.func @contrast(%i: tensor<?x64xf32>, %t: tensor<?x64xf32>, %s: tensor<1xf32>) -> tensor<?x?xf32> {
  %0 = vlm.contrastive_logits %i, %t, %s : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<1xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
