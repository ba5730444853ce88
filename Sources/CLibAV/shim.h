// What Swift cannot import from libav by itself: function-like macros, arrays of planes, the log.
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static inline int64_t vos_av_nopts_value(void) { return AV_NOPTS_VALUE; }
static inline int vos_averror_eof(void) { return AVERROR_EOF; }
static inline int vos_averror_eagain(void) { return AVERROR(EAGAIN); }
static inline int vos_averror_nomem(void) { return AVERROR(ENOMEM); }
static inline int vos_averror_invaliddata(void) { return AVERROR_INVALIDDATA; }
static inline int vos_averror_errno(int code) { return AVERROR(code); }

// MARK: - Log

// The newest error message of one container or codec, hung on its `opaque` field. libav's threads
// may write at the same time, hence `busy`.
typedef struct {
  atomic_flag busy;
  int count;
  char message[240];
} vos_av_log;

static inline void vos_av_log_line(void *source, int level, const char *format, va_list args) {
  if (!source || level > AV_LOG_ERROR) return;
  const AVClass *class = *(const AVClass **)source;
  if (!class || !class->class_name) return;
  vos_av_log *log = NULL;
  if (strcmp(class->class_name, "AVFormatContext") == 0) {
    log = (vos_av_log *)((AVFormatContext *)source)->opaque;
  } else if (strcmp(class->class_name, "AVCodecContext") == 0) {
    log = (vos_av_log *)((AVCodecContext *)source)->opaque;
  }
  if (!log || atomic_flag_test_and_set(&log->busy)) return;
  vsnprintf(log->message, sizeof(log->message), format, args);
  log->count += 1;
  atomic_flag_clear(&log->busy);
}

// Nothing is printed: errors reach the user as one line of ours.
static inline void vos_av_install_log(void) { av_log_set_callback(vos_av_log_line); }

static inline vos_av_log *vos_av_log_create(void) {
  return (vos_av_log *)av_mallocz(sizeof(vos_av_log));
}

// Copies the message out, so that no thread can change it while it is read.
static inline int vos_av_log_read(vos_av_log *log, char *message, int capacity) {
  if (atomic_flag_test_and_set(&log->busy)) return 0;
  snprintf(message, (size_t)capacity, "%s", log->message);
  atomic_flag_clear(&log->busy);
  return log->count;
}

// MARK: - Streams and frames

// The stream's 3×3 display matrix, or NULL.
static inline const int32_t *vos_av_stream_matrix(const AVStream *stream) {
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
  const AVPacketSideData *data = av_packet_side_data_get(
      stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data,
      AV_PKT_DATA_DISPLAYMATRIX);
  return data && data->size >= 9 * sizeof(int32_t) ? (const int32_t *)data->data : NULL;
#else
  size_t size = 0;
  const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
#endif
}

// The frame's own 3×3 display matrix (EXIF orientation, SEI), or NULL.
static inline const int32_t *vos_av_frame_matrix(const AVFrame *frame) {
  const AVFrameSideData *data = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
  return data && data->size >= 9 * sizeof(int32_t) ? (const int32_t *)data->data : NULL;
}

static inline uint8_t *vos_av_plane(const AVFrame *frame, int plane) { return frame->data[plane]; }
static inline int vos_av_stride(const AVFrame *frame, int plane) { return frame->linesize[plane]; }

// MARK: - Pixel conversion

// A converter between equal sizes. `chroma_x` and `chroma_y` place the chroma samples of the source
// in 1/256 luma pixels (-513: libswscale's default). NULL when the formats are not supported.
static inline struct SwsContext *vos_sws_create(
    int width, int height, int from, int to, int matrix, int from_full, int to_full,
    int chroma_x, int chroma_y) {
  struct SwsContext *context = sws_alloc_context();
  if (!context) return NULL;
  av_opt_set_int(context, "srcw", width, 0);
  av_opt_set_int(context, "srch", height, 0);
  av_opt_set_int(context, "dstw", width, 0);
  av_opt_set_int(context, "dsth", height, 0);
  av_opt_set_int(context, "src_format", from, 0);
  av_opt_set_int(context, "dst_format", to, 0);
  av_opt_set_int(context, "src_range", from_full, 0);
  av_opt_set_int(context, "dst_range", to_full, 0);
  av_opt_set_int(
      context, "sws_flags",
      SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, 0);
  av_opt_set_int(context, "src_h_chr_pos", chroma_x, 0);
  av_opt_set_int(context, "src_v_chr_pos", chroma_y, 0);
  if (sws_init_context(context, NULL, NULL) < 0) {
    sws_freeContext(context);
    return NULL;
  }
  const int *table = sws_getCoefficients(matrix);
  sws_setColorspaceDetails(context, table, from_full, table, to_full, 0, 1 << 16, 1 << 16);
  return context;
}

// The whole picture into one packed destination.
static inline int vos_sws_pack(
    struct SwsContext *context, const AVFrame *frame, uint8_t *destination, int stride) {
  uint8_t *planes[4] = {destination, NULL, NULL, NULL};
  int strides[4] = {stride, 0, 0, 0};
  return sws_scale(
      context, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes,
      strides);
}

// A converter from RGB24 to limited-range YUV 4:2:0 with chroma at the left pixel of two.
static inline struct SwsContext *vos_sws_create_encoder(int width, int height, int matrix) {
  struct SwsContext *context = sws_alloc_context();
  if (!context) return NULL;
  av_opt_set_int(context, "srcw", width, 0);
  av_opt_set_int(context, "srch", height, 0);
  av_opt_set_int(context, "dstw", width, 0);
  av_opt_set_int(context, "dsth", height, 0);
  av_opt_set_int(context, "src_format", AV_PIX_FMT_RGB24, 0);
  av_opt_set_int(context, "dst_format", AV_PIX_FMT_YUV420P, 0);
  av_opt_set_int(context, "src_range", 1, 0);
  av_opt_set_int(
      context, "sws_flags",
      SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, 0);
  av_opt_set_int(context, "dst_h_chr_pos", 0, 0);
  av_opt_set_int(context, "dst_v_chr_pos", 128, 0);
  if (sws_init_context(context, NULL, NULL) < 0) {
    sws_freeContext(context);
    return NULL;
  }
  const int *table = sws_getCoefficients(matrix);
  sws_setColorspaceDetails(context, table, 1, table, 0, 0, 1 << 16, 1 << 16);
  return context;
}

// The whole packed picture into a frame.
static inline int vos_sws_unpack(
    struct SwsContext *context, const uint8_t *source, int stride, int height, AVFrame *frame) {
  const uint8_t *planes[4] = {source, NULL, NULL, NULL};
  int strides[4] = {stride, 0, 0, 0};
  return sws_scale(context, planes, strides, 0, height, frame->data, frame->linesize);
}
