// RUN: vlmc-opt %s --vlm-fuse-patch-embed --split-input-file | FileCheck %s
// RUN: vlmc-opt %s --vlm-fuse-patch-embed --split-input-file --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

// CHECK-NOT: vlm.weight @v.class :
// CHECK:     vlm.weight @"v.class+positions" : tensor<1x64xf32> = <add (#vlm.recipe<read "c" : tensor<1x64xf32>>, #vlm.recipe<slice [0, 0, 1] (#vlm.recipe<read "p" : tensor<17x64xf32>>) : tensor<1x64xf32>>) : tensor<1x64xf32>>
// CHECK:     vlm.weight @"v.positions[1:17]" : tensor<16x64xf32> = <slice [0, 1, 17] (#vlm.recipe<read "p" : tensor<17x64xf32>>) : tensor<16x64xf32>>
vlm.weight @v.class : tensor<1x64xf32> = #vlm.recipe<read "c" : tensor<1x64xf32>>
vlm.weight @v.positions : tensor<17x64xf32> = #vlm.recipe<read "p" : tensor<17x64xf32>>

// CHECK-LABEL: func.func @moved
// CHECK:         %[[P:.+]] = vlm.patch_embed
// CHECK-DAG:     %[[C:.+]] = vlm.get_weight @"v.class+positions"
// CHECK-DAG:     %[[E:.+]] = vlm.get_weight @"v.positions[1:17]"
// CHECK:         %[[A:.+]] = vlm.add %[[P]], %[[E]] {vlm.label = "v.positions"} : tensor<?x16x64xf32>, tensor<16x64xf32>
// CHECK:         %[[T:.+]] = vlm.prepend_tokens %[[C]], %[[A]]
// CHECK:         return %[[T]]
func.func @moved(%x: tensor<?x3x32x32xf32>, %w: tensor<64x3x8x8xf32>) -> tensor<?x17x64xf32> {
  %c = vlm.get_weight @v.class : tensor<1x64xf32>
  %p = vlm.get_weight @v.positions : tensor<17x64xf32>
  %0 = vlm.patch_embed %x, %w {vlm.label = "v.patches"} : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.prepend_tokens %c, %0 : (tensor<1x64xf32>, tensor<?x16x64xf32>) -> tensor<?x17x64xf32>
  // expected-remark@+1 {{add 'v.positions' moves to patch_embed 'v.patches'}}
  %2 = vlm.add %1, %p {vlm.label = "v.positions"} : tensor<?x17x64xf32>, tensor<17x64xf32>
  return %2 : tensor<?x17x64xf32>
}

// -----

// CHECK-LABEL: func.func @kept
// CHECK:         vlm.prepend_tokens
// CHECK-NEXT:    vlm.add
func.func @kept(%x: tensor<?x3x32x32xf32>, %w: tensor<64x3x8x8xf32>, %c: tensor<1x64xf32>, %p: tensor<17x64xf32>) -> tensor<?x17x64xf32> {
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.prepend_tokens %c, %0 : (tensor<1x64xf32>, tensor<?x16x64xf32>) -> tensor<?x17x64xf32>
  // expected-remark@+1 {{add stays behind prepend_tokens: tokens or positions are not weights of the model}}
  %2 = vlm.add %1, %p : tensor<?x17x64xf32>, tensor<17x64xf32>
  return %2 : tensor<?x17x64xf32>
}

// -----

// CHECK-LABEL: func.func @tapped
// CHECK:         vlm.prepend_tokens
// CHECK-NEXT:    vlm.add
func.func @tapped(%x: tensor<?x3x32x32xf32>, %w: tensor<64x3x8x8xf32>, %c: tensor<1x64xf32>, %p: tensor<17x64xf32>)
    -> (tensor<?x17x64xf32>, tensor<?x17x64xf32>) {
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.prepend_tokens %c, %0 : (tensor<1x64xf32>, tensor<?x16x64xf32>) -> tensor<?x17x64xf32>
  // expected-remark@+1 {{the values between have several readers}}
  %2 = vlm.add %1, %p : tensor<?x17x64xf32>, tensor<17x64xf32>
  return %2, %1 : tensor<?x17x64xf32>, tensor<?x17x64xf32>
}

// -----

vlm.weight @c : tensor<1x64xf32> = #vlm.recipe<read "c" : tensor<1x64xf32>>
vlm.weight @p : tensor<64xf32> = #vlm.recipe<read "p" : tensor<64xf32>>
// CHECK-LABEL: func.func @vector
// CHECK:         vlm.prepend_tokens
// CHECK-NEXT:    vlm.add
func.func @vector(%x: tensor<?x3x32x32xf32>, %w: tensor<64x3x8x8xf32>) -> tensor<?x17x64xf32> {
  %c = vlm.get_weight @c : tensor<1x64xf32>
  %p = vlm.get_weight @p : tensor<64xf32>
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x32x32xf32>, tensor<64x3x8x8xf32>) -> tensor<?x16x64xf32>
  %1 = vlm.prepend_tokens %c, %0 : (tensor<1x64xf32>, tensor<?x16x64xf32>) -> tensor<?x17x64xf32>
  // expected-remark@+1 {{the positions are not [T, D]}}
  %2 = vlm.add %1, %p : tensor<?x17x64xf32>, tensor<64xf32>
  return %2 : tensor<?x17x64xf32>
}

// -----

vlm.weight @c : tensor<1x64xf16> = #vlm.recipe<read "c" : tensor<1x64xf16>>
vlm.weight @p : tensor<17x64xf16> = #vlm.recipe<read "p" : tensor<17x64xf16>>
// CHECK-LABEL: func.func @half
// CHECK:         vlm.prepend_tokens
// CHECK-NEXT:    vlm.add
func.func @half(%x: tensor<?x3x32x32xf16>, %w: tensor<64x3x8x8xf16>) -> tensor<?x17x64xf16> {
  %c = vlm.get_weight @c : tensor<1x64xf16>
  %p = vlm.get_weight @p : tensor<17x64xf16>
  %0 = vlm.patch_embed %x, %w : (tensor<?x3x32x32xf16>, tensor<64x3x8x8xf16>) -> tensor<?x16x64xf16>
  %1 = vlm.prepend_tokens %c, %0 : (tensor<1x64xf16>, tensor<?x16x64xf16>) -> tensor<?x17x64xf16>
  // expected-remark@+1 {{recipes add in f32 only}}
  %2 = vlm.add %1, %p : tensor<?x17x64xf16>, tensor<17x64xf16>
  return %2 : tensor<?x17x64xf16>
}
