// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-attention | FileCheck %s
// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-attention --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

// CHECK-LABEL: func.func @slices
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor
// CHECK-NEXT:    vlm.group attention (%[[A:.+]] = %[[X]])
// CHECK-DAG:       %[[Q:.+]] = vlm.slice_features %[[A]][0, 64]
// CHECK-DAG:       %[[K:.+]] = vlm.slice_features %[[A]][64, 128]
// CHECK-DAG:       %[[V:.+]] = vlm.slice_features %[[A]][128, 192]
// CHECK:           vlm.attention %[[Q]], %[[K]], %[[V]]
func.func @slices(%x: tensor<?x9x192xf32>) -> tensor<?x9x64xf32> {
  %q = vlm.slice_features %x [0, 64] : (tensor<?x9x192xf32>) -> tensor<?x9x64xf32>
  %k = vlm.slice_features %x [64, 128] : (tensor<?x9x192xf32>) -> tensor<?x9x64xf32>
  %v = vlm.slice_features %x [128, 192] : (tensor<?x9x192xf32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{attention group 'a' reads 3 of its operands in place}}
  %y = vlm.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64, vlm.label = "a"}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %y : tensor<?x9x64xf32>
}

// A slice with another reader is read in place and stays for the other.
// CHECK-LABEL: func.func @tapped
// CHECK:         %[[S:.+]] = vlm.slice_features
// CHECK:         vlm.group attention
// CHECK:           vlm.slice_features
// CHECK:         return %{{.*}}, %[[S]]
func.func @tapped(%x: tensor<?x9x128xf32>) -> (tensor<?x9x64xf32>, tensor<?x9x64xf32>) {
  %q = vlm.slice_features %x [0, 64] : (tensor<?x9x128xf32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{reads 1 of its operands in place}}
  %y = vlm.attention %q, %q, %q {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %y, %q : tensor<?x9x64xf32>, tensor<?x9x64xf32>
}

// CHECK-LABEL: func.func @buffers
func.func @buffers(%q: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  // CHECK: vlm.group attention
  // expected-remark@+1 {{reads query, key and value from three buffers: no operand is a slice of a fused projection}}
  %y = vlm.attention %q, %q, %q {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %y : tensor<?x9x64xf32>
}
