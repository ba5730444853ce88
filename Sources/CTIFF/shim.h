// What Swift cannot import from libtiff by itself: variadic functions, and messages.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

// What one page says about itself.
typedef struct {
  uint32_t width, height, rows_per_strip, tile_width, tile_height, subfile;
  uint16_t samples, bits, format, photometric, planar;
  int is_tiled;
} vos_tiff_page;

// The newest error message of one file.
typedef struct {
  int count;
  char message[200];
} vos_tiff_log;

#if TIFFLIB_VERSION >= 20221213
static inline int vos_tiff_log_line(
    TIFF *file, void *data, const char *module, const char *format, va_list args) {
  (void)file;
  (void)module;
  vos_tiff_log *log = (vos_tiff_log *)data;
  vsnprintf(log->message, sizeof(log->message), format, args);
  log->count += 1;
  return 1;
}
static inline int vos_tiff_ignore(
    TIFF *file, void *data, const char *module, const char *format, va_list args) {
  (void)file; (void)data; (void)module; (void)format; (void)args;
  return 1;
}
#endif

// Opens for reading without mapping the file (a file cut while mapped kills the process). `log`
// must outlive the file.
static inline TIFF *vos_tiff_open(const char *path, vos_tiff_log *log) {
#if TIFFLIB_VERSION >= 20221213
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return NULL;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)1 << 30);
  TIFFOpenOptionsSetErrorHandlerExtR(options, vos_tiff_log_line, log);
  TIFFOpenOptionsSetWarningHandlerExtR(options, vos_tiff_ignore, NULL);
  TIFF *file = TIFFOpenExt(path, "rm", options);
  TIFFOpenOptionsFree(options);
  return file;
#else
  (void)log;
  TIFFSetErrorHandler(NULL);
  TIFFSetWarningHandler(NULL);
  return TIFFOpen(path, "rm");
#endif
}

static inline vos_tiff_page vos_tiff_describe(TIFF *file) {
  vos_tiff_page page;
  memset(&page, 0, sizeof page);
  TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &page.width);
  TIFFGetField(file, TIFFTAG_IMAGELENGTH, &page.height);
  TIFFGetField(file, TIFFTAG_SUBFILETYPE, &page.subfile);
  TIFFGetFieldDefaulted(file, TIFFTAG_ROWSPERSTRIP, &page.rows_per_strip);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &page.samples);
  TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &page.bits);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &page.format);
  TIFFGetFieldDefaulted(file, TIFFTAG_PLANARCONFIG, &page.planar);
  TIFFGetField(file, TIFFTAG_PHOTOMETRIC, &page.photometric);
  page.is_tiled = TIFFIsTiled(file);
  if (page.is_tiled) {
    TIFFGetField(file, TIFFTAG_TILEWIDTH, &page.tile_width);
    TIFFGetField(file, TIFFTAG_TILELENGTH, &page.tile_height);
  }
  return page;
}

// The text of ImageDescription up to `capacity` bytes, or an empty one.
static inline void vos_tiff_description(TIFF *file, char *text, size_t capacity) {
  const char *found = NULL;
  text[0] = 0;
  if (TIFFGetField(file, TIFFTAG_IMAGEDESCRIPTION, &found) && found) {
    snprintf(text, capacity, "%s", found);
  }
}
