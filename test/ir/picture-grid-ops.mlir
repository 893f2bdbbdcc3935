// RUN: vlmc-opt %s --verify-roundtrip
// RUN: vlmc-opt %s | vlmc-opt | FileCheck %s

// CHECK-LABEL: func.func @examples
func.func @examples(%map: tensor<?x64x16xf32>, %w: tensor<3x3x16xf32>, %b: tensor<16xf32>, %s: tensor<?x16xf32>, %four: tensor<?x4x16xf32>,
    %tokens: tensor<?x?x64xf32>, %p: tensor<16x64xf32>, %g: tensor<?x2xi64>, %i: tensor<?x64xf32>, %t: tensor<?x64xf32>, %one: tensor<1xf32>) {
  // CHECK: vlm.depthwise_conv2d %{{.*}}, %{{.*}} {height = 8 : i64, padding = array<i64: 0, 0, 1, 1>, stride = 2 : i64, width = 8 : i64}
  %0 = vlm.depthwise_conv2d %map, %w {height = 8 : i64, width = 8 : i64, stride = 2 : i64, padding = array<i64: 0, 0, 1, 1>}
      : (tensor<?x64x16xf32>, tensor<3x3x16xf32>) -> tensor<?x16x16xf32>
  // CHECK: vlm.depthwise_conv2d %{{.*}}, %{{.*}} bias %{{.*}}
  %1 = vlm.depthwise_conv2d %map, %w bias %b {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x64x16xf32>, tensor<3x3x16xf32>, tensor<16xf32>) -> tensor<?x64x16xf32>
  // CHECK: vlm.scale_features %{{.*}}, %{{.*}} : tensor<?x64x16xf32>, tensor<?x16xf32>
  %2 = vlm.scale_features %map, %s : tensor<?x64x16xf32>, tensor<?x16xf32>
  // CHECK: vlm.max_tokens %{{.*}} : (tensor<?x4x16xf32>) -> tensor<?x16xf32>
  %3 = vlm.max_tokens %four : (tensor<?x4x16xf32>) -> tensor<?x16xf32>
  // CHECK: vlm.add_grid_positions %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x?x64xf32>, tensor<16x64xf32>, tensor<?x2xi64>
  %4 = vlm.add_grid_positions %tokens, %p, %g : tensor<?x?x64xf32>, tensor<16x64xf32>, tensor<?x2xi64>
  // CHECK: boundaries = array<f32: 2.500000e-01, 5.000000e-01, 7.500000e-01>
  %5 = vlm.add_grid_positions %tokens, %p, %g {boundaries = array<f32: 2.500000e-01, 5.000000e-01, 7.500000e-01>}
      : tensor<?x?x64xf32>, tensor<16x64xf32>, tensor<?x2xi64>
  // CHECK: vlm.contrastive_logits {{.*}} {divides}
  %6 = vlm.contrastive_logits %i, %t, %one {divides} : (tensor<?x64xf32>, tensor<?x64xf32>, tensor<1xf32>) -> tensor<?x?xf32>
  return
}
