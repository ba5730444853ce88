// What Swift cannot import from libav by itself: function-like macros and casts.
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

static inline int64_t vos_av_nopts_value(void) { return AV_NOPTS_VALUE; }
static inline int vos_averror_eof(void) { return AVERROR_EOF; }
static inline int vos_averror_eagain(void) { return AVERROR(EAGAIN); }
