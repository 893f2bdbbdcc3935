// RUN: vlmc-opt %s --vlm-verify-graph --split-input-file --verify-diagnostics

// A graph that is right.
vlm.weight @w : tensor<64xf32> = #vlm.recipe<read "w" : tensor<64xf32>>
func.func @entry(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>]} {
  %w = vlm.get_weight @w : tensor<64xf32>
  %0 = vlm.add %x, %w : tensor<?x64xf32>, tensor<64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{'w' is read by no entry}}
vlm.weight @w : tensor<64xf32> = #vlm.recipe<read "w" : tensor<64xf32>>

// -----

// expected-error@+1 {{is neither a weight nor an entry; a graph holds nothing else}}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{function 'f' is no entry point: it has no 'vlm.entry'}}
func.func @f() {
  return
}

// -----

// expected-error@+1 {{entry 'f' must have a body of one block}}
func.func private @f() attributes {vlm.entry}

// -----

// expected-error@+1 {{entry 'f': argument 0 must be a ranked tensor, but is 'f32'}}
func.func @f(%x: f32) attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 0 needs 'vlm.name', its name in the C API}}
func.func @f(%x: tensor<?xf32>) attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 1 has the name 'x' of another argument}}
func.func @f(%x: tensor<4xf32> {vlm.name = "x"}, %y: tensor<4xf32> {vlm.name = "x"}) attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 0 has 'vlm.range' or 'vlm.fill', which are for integers, but is 'tensor<4xf32>'}}
func.func @f(%x: tensor<4xf32> {vlm.name = "x", vlm.range = array<i64: 0, 9>}) attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 0 needs 'vlm.range' as array<i64: minimum, maximum>, but has array<i64: 9, 0>}}
func.func @f(%x: tensor<4xi64> {vlm.name = "x", vlm.range = array<i64: 9, 0>}) attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 0 needs 'vlm.fill' as an integer, but has "one"}}
func.func @f(%x: tensor<4xi64> {vlm.name = "x", vlm.fill = "one"}) attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f': result 0 needs 'vlm.name', its name in the C API}}
func.func @f(%x: tensor<4xf32> {vlm.name = "x"}) -> tensor<4xf32> attributes {vlm.entry} {
  return %x : tensor<4xf32>
}

// -----

// expected-error@+1 {{entry 'f' needs 'vlm.symbols', an array of #vlm.symbol}}
func.func @f() attributes {vlm.entry} {
  return
}

// -----

// expected-error@+1 {{entry 'f' declares the symbol 'B' twice}}
func.func @f() attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>, #vlm.symbol<"B", 1, 1, 4>]} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 0 needs strings in 'vlm.dims', but has 1 : i64}}
func.func @f(%x: tensor<?xf32> {vlm.name = "x", vlm.dims = [1]}) attributes {vlm.entry, vlm.symbols = []} {
  return
}

// -----

// expected-error@+1 {{entry 'f': argument 0 has a dimension 'B' that 'vlm.symbols' does not declare}}
func.func @f(%x: tensor<?xf32> {vlm.name = "x", vlm.dims = ["B"]}) attributes {vlm.entry, vlm.symbols = []} {
  return
}

// -----

// expected-error@+1 {{argument 0 needs 'vlm.dims', one name per dimension of 'tensor<?xf32>'}}
func.func @f(%x: tensor<?xf32> {vlm.name = "x"}) attributes {vlm.entry, vlm.symbols = []} {
  return
}

// -----

// expected-error@+1 {{argument 0: 'vlm.dims' names exactly the dynamic dimensions of 'tensor<?xf32>'}}
func.func @f(%x: tensor<?xf32> {vlm.name = "x", vlm.dims = [""]}) attributes {vlm.entry, vlm.symbols = []} {
  return
}

// -----

// expected-error@+1 {{entry 'f': result 0 is an argument or a weight as it is; an entry gives back what it computes}}
func.func @f(%x: tensor<4xf32> {vlm.name = "x", vlm.dims = [""]}) -> (tensor<4xf32> {vlm.name = "y"}) attributes {vlm.entry, vlm.symbols = []} {
  return %x : tensor<4xf32>
}

// -----

func.func @f() attributes {vlm.entry, vlm.symbols = []} {
  // expected-error@+1 {{stands in entry 'f', which may hold tensor-level vlm ops and return only}}
  %0 = arith.constant 1.0 : f32
  return
}
