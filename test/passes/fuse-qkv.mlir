// RUN: vlmc-opt %s --vlm-fuse-qkv | FileCheck %s
// RUN: vlmc-opt %s --vlm-fuse-qkv --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

// The parts' weights go when nobody reads them any more.
// CHECK-NOT: vlm.weight @a.value.bias
// CHECK-DAG: vlm.weight @"a.query+key+value.weight" : tensor<128x64xf32> = <concat [0] (#vlm.recipe<read "q" : tensor<64x64xf32>>, #vlm.recipe<read "k" : tensor<32x64xf32>>, #vlm.recipe<read "v" : tensor<32x64xf32>>) : tensor<128x64xf32>>
// CHECK-DAG: vlm.weight @"a.query+key+value.bias" : tensor<128xf32>
// CHECK-DAG: vlm.weight @"a.key+value.weight" : tensor<64x64xf32>
vlm.weight @a.query.weight : tensor<64x64xf32> = #vlm.recipe<read "q" : tensor<64x64xf32>>
vlm.weight @a.key.weight : tensor<32x64xf32> = #vlm.recipe<read "k" : tensor<32x64xf32>>
vlm.weight @a.value.weight : tensor<32x64xf32> = #vlm.recipe<read "v" : tensor<32x64xf32>>
vlm.weight @a.query.bias : tensor<64xf32> = #vlm.recipe<read "qb" : tensor<64xf32>>
vlm.weight @a.key.bias : tensor<32xf32> = #vlm.recipe<read "kb" : tensor<32xf32>>
vlm.weight @a.value.bias : tensor<32xf32> = #vlm.recipe<read "vb" : tensor<32xf32>>

// CHECK-LABEL: func.func @three
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor
// CHECK-DAG:     %[[W:.+]] = vlm.get_weight @"a.query+key+value.weight"
// CHECK-DAG:     %[[B:.+]] = vlm.get_weight @"a.query+key+value.bias"
// CHECK:         %[[QKV:.+]] = vlm.linear %[[X]], %[[W]] bias %[[B]] {vlm.label = "a.query+key+value"} : {{.*}} -> tensor<?x9x128xf32>
// CHECK:         %[[Q:.+]] = vlm.slice_features %[[QKV]][0, 64]
// CHECK:         %[[K:.+]] = vlm.slice_features %[[QKV]][64, 96]
// CHECK:         %[[V:.+]] = vlm.slice_features %[[QKV]][96, 128]
// CHECK:         vlm.attention %[[Q]], %[[K]], %[[V]]
func.func @three(%x: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  %wq = vlm.get_weight @a.query.weight : tensor<64x64xf32>
  %wk = vlm.get_weight @a.key.weight : tensor<32x64xf32>
  %wv = vlm.get_weight @a.value.weight : tensor<32x64xf32>
  %bq = vlm.get_weight @a.query.bias : tensor<64xf32>
  %bk = vlm.get_weight @a.key.bias : tensor<32xf32>
  %bv = vlm.get_weight @a.value.bias : tensor<32xf32>
  %q = vlm.linear %x, %wq bias %bq {vlm.label = "a.query"} : (tensor<?x9x64xf32>, tensor<64x64xf32>, tensor<64xf32>) -> tensor<?x9x64xf32>
  %k = vlm.linear %x, %wk bias %bk {vlm.label = "a.key"} : (tensor<?x9x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<?x9x32xf32>
  %v = vlm.linear %x, %wv bias %bv {vlm.label = "a.value"} : (tensor<?x9x64xf32>, tensor<32x64xf32>, tensor<32xf32>) -> tensor<?x9x32xf32>
  // expected-remark@+1 {{linear 'a.query+key+value' does the work of 3 projections}}
  %y = vlm.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x32xf32>, tensor<?x9x32xf32>) -> tensor<?x9x64xf32>
  return %y : tensor<?x9x64xf32>
}

// The query reads other rows: key and value only.
// CHECK-LABEL: func.func @two
// CHECK:         vlm.linear {{.*}} -> tensor<?x1x64xf32>
// CHECK:         %[[KV:.+]] = vlm.linear {{.*}} -> tensor<?x9x64xf32>
// CHECK:         vlm.slice_features %[[KV]][0, 32]
// CHECK:         vlm.slice_features %[[KV]][32, 64]
func.func @two(%x: tensor<?x9x64xf32>, %one: tensor<?x1x64xf32>, %wq: tensor<64x64xf32>) -> tensor<?x1x64xf32> {
  %wk = vlm.get_weight @a.key.weight : tensor<32x64xf32>
  %wv = vlm.get_weight @a.value.weight : tensor<32x64xf32>
  %q = vlm.linear %one, %wq : (tensor<?x1x64xf32>, tensor<64x64xf32>) -> tensor<?x1x64xf32>
  %k = vlm.linear %x, %wk : (tensor<?x9x64xf32>, tensor<32x64xf32>) -> tensor<?x9x32xf32>
  %v = vlm.linear %x, %wv : (tensor<?x9x64xf32>, tensor<32x64xf32>) -> tensor<?x9x32xf32>
  // expected-remark@+1 {{does the work of 2 projections}}
  %y = vlm.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f64}
      : (tensor<?x1x64xf32>, tensor<?x9x32xf32>, tensor<?x9x32xf32>) -> tensor<?x1x64xf32>
  return %y : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @some_bias
// CHECK-COUNT-3: vlm.linear
func.func @some_bias(%x: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  %wq = vlm.get_weight @a.query.weight : tensor<64x64xf32>
  %wk = vlm.get_weight @a.key.weight : tensor<32x64xf32>
  %wv = vlm.get_weight @a.value.weight : tensor<32x64xf32>
  %bq = vlm.get_weight @a.query.bias : tensor<64xf32>
  %q = vlm.linear %x, %wq bias %bq : (tensor<?x9x64xf32>, tensor<64x64xf32>, tensor<64xf32>) -> tensor<?x9x64xf32>
  %k = vlm.linear %x, %wk : (tensor<?x9x64xf32>, tensor<32x64xf32>) -> tensor<?x9x32xf32>
  %v = vlm.linear %x, %wv : (tensor<?x9x64xf32>, tensor<32x64xf32>) -> tensor<?x9x32xf32>
  // expected-remark@+1 {{attention 'a' keeps its projections: only some of the projections have a bias}}
  %y = vlm.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f64, vlm.label = "a"}
      : (tensor<?x9x64xf32>, tensor<?x9x32xf32>, tensor<?x9x32xf32>) -> tensor<?x9x64xf32>
  return %y : tensor<?x9x64xf32>
}

// CHECK-LABEL: func.func @no_weight
// CHECK-COUNT-3: vlm.linear
func.func @no_weight(%x: tensor<?x9x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x9x64xf32> {
  %q = vlm.linear %x, %w : (tensor<?x9x64xf32>, tensor<64x64xf32>) -> tensor<?x9x64xf32>
  %k = vlm.linear %x, %w : (tensor<?x9x64xf32>, tensor<64x64xf32>) -> tensor<?x9x64xf32>
  %v = vlm.linear %x, %w : (tensor<?x9x64xf32>, tensor<64x64xf32>) -> tensor<?x9x64xf32>
  // expected-remark@+1 {{a projection's weight or bias is not a weight of the model}}
  %y = vlm.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %y : tensor<?x9x64xf32>
}

// CHECK-LABEL: func.func @no_linears
// CHECK:         vlm.attention
func.func @no_linears(%x: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  // expected-remark@+1 {{key and value are not two linears of one input}}
  %y = vlm.attention %x, %x, %x {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.25 : f64}
      : (tensor<?x9x64xf32>, tensor<?x9x64xf32>, tensor<?x9x64xf32>) -> tensor<?x9x64xf32>
  return %y : tensor<?x9x64xf32>
}
