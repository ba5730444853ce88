// The table of one instruction set. Included last, with VOS_TABLE, VOS_ISA and VOS_ISA_NAME defined.

const vos_int8_kernels VOS_TABLE = {
    .isa = VOS_ISA,
    .name = VOS_ISA_NAME,
    .gemm = VOS_GEMM,
    .gemm_to_float = VOS_GEMM_TO_FLOAT,
    .depthwise = VOS_NAME(vos_u7s8_depthwise),
    .upsample2 = VOS_NAME(vos_u7_upsample2),
    .quantize = VOS_NAME(vos_f32u7_quantize),
    .dequantize = VOS_NAME(vos_u7f32_dequantize),
    .quantize_queries = VOS_NAME(vos_f32u7_quantize_queries),
    .pack_keys = VOS_NAME(vos_f32s8_pack_keys),
};
