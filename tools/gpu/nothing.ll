; The same for the emulator.
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
define ptx_kernel void @nothing(ptr %a) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp eq i32 %t, 0
  br i1 %first, label %write, label %end
write:
  store i32 0, ptr %a, align 4
  br label %end
end:
  ret void
}
