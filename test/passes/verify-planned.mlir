// RUN: vlmc-opt %s --vlm-verify-planned --split-input-file --verify-diagnostics

// A plan that is right.
func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{entry 'f' has no 'vlm.slots'; run --vlm-plan-memory}}
func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>]} {
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{entry 'f': slot 1 must be a list of #vlm.size, but is []}}
func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], []]} {
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{entry 'f': slot 1 has the size #vlm.size<8 * N>, but 'N' is no symbol of the entry}}
func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * N>]]} {
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{entry 'f': slot 2 is used by no call}}
func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>], [#vlm.size<8>]]} {
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{gives no slot to result 0 of the call of 'k' for 'a'}}
  %0 = vlm.call @k(%x) {label = "a", temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{gives no slot to temporary 0 of the call of 'k'}}
  %0 = vlm.call @k(%x) {slots = array<i64: 0>, temps = array<i64>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{result 0 of the call of 'k' is no output of the entry and has a slot, but it has -1}}
  %0 = vlm.call @k(%x) {slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // expected-error@+1 {{result 0 of the call of 'k' is an output of the entry and has slot -1, but it has 0}}
  %1 = vlm.call @k(%0) {slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{result 0 of the call of 'k' has slot 7, but there are 2}}
  %0 = vlm.call @k(%x) {slots = array<i64: 7>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{result 0 of the call of 'k' needs 256 * B bytes, but no size of slot 1 is as large}}
  %0 = vlm.call @k(%x) {slots = array<i64: 1>, temps = array<i64: 0>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{gives slots to 2 temporaries, but its kernel has 1}}
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1, 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{gives slots to 2 results, but has 1}}
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0, 1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{needs a scratch of 64 bytes per thread, but has 32}}
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<32>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>, #vlm.size<4>]]} {
  // expected-error@+1 {{needs a scratch of 64 bytes per thread, but has none}}
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>]]} {
  // expected-error@+2 {{temporary 0 of the call of 'k' for 'a' shares slot 0 with result 0 of the call of 'k' for 'a', which is still needed}}
  // expected-note@+1 {{the other buffer is made here}}
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 0>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @k(%0) {slots = array<i64: -1>, temps = array<i64: 0>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

func.func @f(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}) -> (tensor<?x64xf32> {vlm.name = "y"})
    attributes {vlm.entry, vlm.symbols = [#vlm.symbol<"B", 1, 1, 4>], vlm.slots = [[#vlm.size<256 * B>], [#vlm.size<8 * B>]]} {
  // expected-note@+1 {{the other buffer is made here}}
  %0 = vlm.call @k(%x) {label = "a", slots = array<i64: 0>, temps = array<i64: 1>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // expected-error@+1 {{temporary 0 of the call of 'k' for 'b' shares slot 0 with result 0 of the call of 'k' for 'a', which is still needed}}
  %1 = vlm.call @k(%0) {label = "b", slots = array<i64: -1>, temps = array<i64: 0>, scratch = #vlm.size<64>} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {temps = [#vlm.size<8 * d0>], scratch = #vlm.size<64>}} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{has no strategy; run --vlm-tile}}
vlm.kernel @k(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error@+1 {{'w' has no layout; run --vlm-pack-weights}}
vlm.weight @w : tensor<4xf32> = #vlm.recipe<read "w" : tensor<4xf32>>
