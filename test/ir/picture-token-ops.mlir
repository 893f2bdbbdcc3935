// Ops of pictures as ids: the norm over groups of channels, the nearest entry of a codebook, hidden logits. The lines are the examples of the ops.
// RUN: vlmc-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func.func @group_norm
func.func @group_norm(%x: tensor<?x64x16xf32>, %w: tensor<16xf32>, %b: tensor<16xf32>) -> tensor<?x64x16xf32> {
  // CHECK: %[[M:.+]] = vlm.group_moments %{{.*}} {epsilon = 9.9999999999999995E-7 : f64, groups = 4 : i64} : (tensor<?x64x16xf32>) -> tensor<?x4x2xf32>
  %m = vlm.group_moments %x {groups = 4 : i64, epsilon = 1.000000e-06 : f64} : (tensor<?x64x16xf32>) -> tensor<?x4x2xf32>
  // CHECK: vlm.group_norm %{{.*}}, %[[M]], %{{.*}}, %{{.*}} : tensor<?x64x16xf32>, tensor<?x4x2xf32>, tensor<16xf32>
  %y = vlm.group_norm %x, %m, %w, %b : tensor<?x64x16xf32>, tensor<?x4x2xf32>, tensor<16xf32>
  return %y : tensor<?x64x16xf32>
}

// CHECK-LABEL: func.func @least_feature
func.func @least_feature(%x: tensor<?x16x8xf32>, %y: tensor<?x16x3xf32>) -> (tensor<?x16xi32>, tensor<?x16xi32>) {
  // CHECK: vlm.least_feature %{{.*}} : (tensor<?x16x8xf32>) -> tensor<?x16xi32>
  %i = vlm.least_feature %x : (tensor<?x16x8xf32>) -> tensor<?x16xi32>
  // CHECK: vlm.least_feature %{{.*}} {ids = array<i32: 7, 5, 6>} : (tensor<?x16x3xf32>) -> tensor<?x16xi32>
  %j = vlm.least_feature %y {ids = array<i32: 7, 5, 6>} : (tensor<?x16x3xf32>) -> tensor<?x16xi32>
  return %i, %j : tensor<?x16xi32>, tensor<?x16xi32>
}

// CHECK-LABEL: func.func @mask_features
func.func @mask_features(%x: tensor<1x?x64xf32>) -> tensor<1x?x64xf32> {
  // CHECK: vlm.mask_features %{{.*}} {ranges = array<i64: 4, 12, 20, 21>} : tensor<1x?x64xf32>
  %y = vlm.mask_features %x {ranges = array<i64: 4, 12, 20, 21>} : tensor<1x?x64xf32>
  return %y : tensor<1x?x64xf32>
}

// CHECK-LABEL: func.func @layer_norm
func.func @layer_norm(%x: tensor<?x50x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>) -> (tensor<?x50x64xf32>, tensor<?x50x64xf32>) {
  // CHECK: vlm.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {epsilon = 1.000000e-05 : f64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  %y = vlm.layer_norm %x, %w, %b {epsilon = 1.000000e-05 : f64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  // CHECK: vlm.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {epsilon = 1.000000e-05 : f64, group = 16 : i64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  %z = vlm.layer_norm %x, %w, %b {epsilon = 1.000000e-05 : f64, group = 16 : i64} : tensor<?x50x64xf32>, tensor<64xf32>, tensor<64xf32>
  return %y, %z : tensor<?x50x64xf32>, tensor<?x50x64xf32>
}
