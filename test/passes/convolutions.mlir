// A bottleneck that halves its picture: batch norms are in the weights, functions and the sum in the epilogues of products, means of four pixels in
// their prologues; the mean of all pixels is a kernel of its own.
// RUN: vlmc-opt %s --vlm-to-kernels | FileCheck %s

vlm.weight @w1 : tensor<8x16xf32> = #vlm.recipe<read "w1" : tensor<8x16xf32>>
vlm.weight @w2 : tensor<8x3x3x8xf32> = #vlm.recipe<read "w2" : tensor<8x3x3x8xf32>>
vlm.weight @w3 : tensor<32x8xf32> = #vlm.recipe<read "w3" : tensor<32x8xf32>>
vlm.weight @w4 : tensor<32x16xf32> = #vlm.recipe<read "w4" : tensor<32x16xf32>>
vlm.weight @w5 : tensor<4x32xf32> = #vlm.recipe<read "w5" : tensor<4x32xf32>>

// CHECK-LABEL: func.func @encode_image
func.func @encode_image(%x: tensor<?x64x16xf32> {vlm.name = "x", vlm.dims = ["B", "", ""]}) -> (tensor<?x1x4xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 64>]} {
  // CHECK: vlm.call @linear_relu_16x8(
  // CHECK: vlm.call @conv2d_relu_3_8x8(
  // CHECK: vlm.call @average_pool_linear_8x32(
  // CHECK: vlm.call @average_pool_linear_add_relu_16x32(
  // CHECK: vlm.call @average_pool(
  // CHECK: vlm.call @linear_32x4(
  %w1 = vlm.get_weight @w1 : tensor<8x16xf32>
  %w2 = vlm.get_weight @w2 : tensor<8x3x3x8xf32>
  %w3 = vlm.get_weight @w3 : tensor<32x8xf32>
  %w4 = vlm.get_weight @w4 : tensor<32x16xf32>
  %w5 = vlm.get_weight @w5 : tensor<4x32xf32>
  %0 = vlm.linear %x, %w1 : (tensor<?x64x16xf32>, tensor<8x16xf32>) -> tensor<?x64x8xf32>
  %1 = vlm.activation relu %0 : tensor<?x64x8xf32>
  %2 = vlm.conv2d %1, %w2 {height = 8 : i64, width = 8 : i64, stride = 1 : i64, padding = array<i64: 1, 1, 1, 1>}
      : (tensor<?x64x8xf32>, tensor<8x3x3x8xf32>) -> tensor<?x64x8xf32>
  %3 = vlm.activation relu %2 : tensor<?x64x8xf32>
  %4 = vlm.average_pool %3 {height = 8 : i64, width = 8 : i64, size = 2 : i64} : (tensor<?x64x8xf32>) -> tensor<?x16x8xf32>
  %5 = vlm.average_pool %x {height = 8 : i64, width = 8 : i64, size = 2 : i64} : (tensor<?x64x16xf32>) -> tensor<?x16x16xf32>
  %6 = vlm.linear %5, %w4 : (tensor<?x16x16xf32>, tensor<32x16xf32>) -> tensor<?x16x32xf32>
  %7 = vlm.linear %4, %w3 : (tensor<?x16x8xf32>, tensor<32x8xf32>) -> tensor<?x16x32xf32>
  %8 = vlm.add %7, %6 : tensor<?x16x32xf32>, tensor<?x16x32xf32>
  %9 = vlm.activation relu %8 : tensor<?x16x32xf32>
  %10 = vlm.average_pool %9 {height = 4 : i64, width = 4 : i64, size = 4 : i64} : (tensor<?x16x32xf32>) -> tensor<?x1x32xf32>
  %11 = vlm.linear %10, %w5 : (tensor<?x1x32xf32>, tensor<4x32xf32>) -> tensor<?x1x4xf32>
  return %11 : tensor<?x1x4xf32>
}
