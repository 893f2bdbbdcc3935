// Interfaces of the `vlm` ops.
#ifndef VLMC_IR_VLM_INTERFACES_TD
#define VLMC_IR_VLM_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Vlm_DimsOpInterface : OpInterface<"DimsOpInterface"> {
  let cppNamespace = "::vlmc::vlm";
  let description = [{
    Says where each dynamic dimension of a result comes from, so that sizes can be told as polynomials over an entry's symbols.
  }];
  let methods = [
    InterfaceMethod<[{
      The operand number and dimension whose size equals dimension `dim` (a dynamic one) of result `result`.
    }], "::std::pair<unsigned, unsigned>", "getDimSource", (ins "unsigned":$result, "unsigned":$dim),
    /*methodBody=*/"", /*defaultImplementation=*/[{ return {0u, dim}; }]>,
  ];
}

#endif // VLMC_IR_VLM_INTERFACES_TD
