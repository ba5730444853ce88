// The table of one instruction set. Included last, with VOS_TABLE, VOS_ISA and VOS_ISA_NAME defined.

const vos_kernels VOS_TABLE = {
    .isa = VOS_ISA,
    .name = VOS_ISA_NAME,
    .gemm = VOS_GEMM,
    .depthwise = VOS_NAME(vos_f32_depthwise),
    .depthwise_dilated = VOS_NAME(vos_f32_depthwise_dilated),
    .max_pool = VOS_NAME(vos_f32_max_pool),
    .upsample2 = VOS_NAME(vos_f32_upsample2),
    .normalize = VOS_NAME(vos_f32_normalize),
    .softmax = VOS_NAME(vos_f32_softmax),
    .subtract_distances = VOS_NAME(vos_f32_subtract_distances),
    .top_k = VOS_NAME(vos_f32_top_k),
    .gather = VOS_NAME(vos_f32_gather),
    .pack_columns = VOS_NAME(vos_f32_pack_columns),
    .pack_rows = VOS_NAME(vos_f32_pack_rows),
    .resize_row_u8 = VOS_NAME(vos_u8_resize_row),
    .resize_row = VOS_NAME(vos_f32_resize_row),
    .combine_rows = VOS_NAME(vos_f32_combine_rows),
    .aggregate = VOS_NAME(vos_f32_aggregate),
    .argmax = VOS_NAME(vos_f32_argmax),
};
