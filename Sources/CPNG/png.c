// libpng behind three calls. See CPNG.h for the contract.
#include "CPNG.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIDE 32768u
#define MAX_PIXELS (1ull << 28)
// Deflate never expands by more than 1032, so a shorter file cannot hold the rows it declares.
#define MAX_EXPANSION 1032ull

struct vos_png_reader {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t count;
  size_t position;
  vos_png_header header;
  char message[VOS_PNG_MESSAGE_BYTES];
};

static void fail(char message[VOS_PNG_MESSAGE_BYTES], const char *text) {
  snprintf(message, VOS_PNG_MESSAGE_BYTES, "%s", text);
}

static void on_error(png_structp png, png_const_charp text) {
  fail((char *)png_get_error_ptr(png), text);
  longjmp(*png_set_longjmp_fn(png, longjmp, sizeof(jmp_buf)), 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t count) {
  vos_png_reader *reader = png_get_io_ptr(png);
  if (count > reader->count - reader->position) {
    char text[80];
    snprintf(text, sizeof text, "the file ends early, after %zu bytes", reader->count);
    png_error(png, text);
  }
  memcpy(out, reader->bytes + reader->position, count);
  reader->position += count;
}

static void refuse_absurd_sizes(vos_png_reader *reader) {
  png_structp png = reader->png;
  uint64_t width = png_get_image_width(png, reader->info);
  uint64_t height = png_get_image_height(png, reader->info);
  char text[160];
  if (width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS) {
    snprintf(
        text, sizeof text, "declares %llu×%llu pixels; at most 32768 a side and 2^28 in all are read",
        (unsigned long long)width, (unsigned long long)height);
    png_error(png, text);
  }
  uint64_t raw = height * (png_get_rowbytes(png, reader->info) + 1);
  if (raw / MAX_EXPANSION > reader->count) {
    snprintf(
        text, sizeof text, "declares %llu×%llu pixels, which %zu bytes cannot hold",
        (unsigned long long)width, (unsigned long long)height, reader->count);
    png_error(png, text);
  }
}

static void fill_header(vos_png_reader *reader) {
  png_structp png = reader->png;
  vos_png_header *header = &reader->header;
  header->width = png_get_image_width(png, reader->info);
  header->height = png_get_image_height(png, reader->info);
  header->bit_depth = png_get_bit_depth(png, reader->info);
  header->color_type = png_get_color_type(png, reader->info);
  header->channels = png_get_channels(png, reader->info);
  header->bytes_per_sample = header->bit_depth == 16 ? 2 : 1;
  png_colorp palette = NULL;
  int entries = 0;
  if (header->color_type == PNG_COLOR_TYPE_PALETTE
      && png_get_PLTE(png, reader->info, &palette, &entries) && palette) {
    header->palette_count = (uint16_t)entries;
    for (int i = 0; i < entries && i < 256; i++) {
      header->palette[3 * i] = palette[i].red;
      header->palette[3 * i + 1] = palette[i].green;
      header->palette[3 * i + 2] = palette[i].blue;
    }
  }
  png_bytep alphas = NULL;
  int alpha_count = 0;
  png_color_16p color = NULL;
  if (png_get_tRNS(png, reader->info, &alphas, &alpha_count, &color)
      && header->color_type != PNG_COLOR_TYPE_PALETTE && color) {
    int grey = header->color_type == PNG_COLOR_TYPE_GRAY;
    header->has_transparent_color = 1;
    header->transparent_color[0] = grey ? color->gray : color->red;
    header->transparent_color[1] = grey ? color->gray : color->green;
    header->transparent_color[2] = grey ? color->gray : color->blue;
  }
}

vos_png_reader *vos_png_open(
    const uint8_t *bytes, size_t count, vos_png_header *header,
    char message[VOS_PNG_MESSAGE_BYTES]) {
  if (count < 8 || png_sig_cmp(bytes, 0, 8) != 0) {
    fail(message, count == 0 ? "the file is empty" : "not a PNG file");
    return NULL;
  }
  vos_png_reader *reader = calloc(1, sizeof *reader);
  if (!reader) {
    fail(message, "out of memory");
    return NULL;
  }
  reader->bytes = bytes;
  reader->count = count;
  reader->png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, reader->message, on_error, on_warning);
  reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
  if (!reader->info) {
    fail(message, "libpng did not start");
    vos_png_close(reader);
    return NULL;
  }
  if (setjmp(png_jmpbuf(reader->png))) {
    memcpy(message, reader->message, VOS_PNG_MESSAGE_BYTES);
    vos_png_close(reader);
    return NULL;
  }
  png_structp png = reader->png;
  png_set_read_fn(png, reader, read_bytes);
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);  // Ours speak of sizes, below.
  png_set_chunk_malloc_max(png, 1 << 20);
  // Text, profiles, times: skipped, so that nothing in them is inflated or can fail.
  static const png_byte skipped[] =
      "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0"
      "sTER\0tEXt\0tIME\0zTXt";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  png_set_keep_unknown_chunks(
      png, PNG_HANDLE_CHUNK_NEVER, skipped, (int)(sizeof skipped / 5));
  png_set_check_for_invalid_index(png, -1);  // An index beyond the palette is still a label.
  png_read_info(png, reader->info);
  refuse_absurd_sizes(reader);
  fill_header(reader);
  *header = reader->header;
  return reader;
}

int vos_png_read(
    vos_png_reader *reader, uint8_t *samples, size_t count, char message[VOS_PNG_MESSAGE_BYTES]) {
  const vos_png_header *header = &reader->header;
  size_t row_bytes = (size_t)header->width * header->channels * header->bytes_per_sample;
  if (count != row_bytes * header->height) {
    fail(message, "the buffer has another size");
    return -1;
  }
  png_structp png = reader->png;
  if (setjmp(png_jmpbuf(png))) {
    memcpy(message, reader->message, VOS_PNG_MESSAGE_BYTES);
    return -1;
  }
  if (header->bit_depth < 8) png_set_packing(png);
  if (header->bit_depth == 16) png_set_swap(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);
  if (png_get_rowbytes(png, reader->info) != row_bytes) png_error(png, "unexpected row length");
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < header->height; y++)
      png_read_row(png, samples + (size_t)y * row_bytes, NULL);
  png_read_end(png, NULL);
  return 0;
}

void vos_png_close(vos_png_reader *reader) {
  if (!reader) return;
  png_destroy_read_struct(&reader->png, &reader->info, NULL);
  free(reader);
}

// MARK: - Writing

typedef struct {
  uint8_t *bytes;
  size_t count;
  size_t capacity;
} sink;

static void append_bytes(png_structp png, png_bytep bytes, size_t count) {
  sink *out = png_get_io_ptr(png);
  if (out->count + count > out->capacity) {
    size_t capacity = (out->count + count) * 2;
    uint8_t *grown = realloc(out->bytes, capacity);
    if (!grown) png_error(png, "out of memory");
    out->bytes = grown;
    out->capacity = capacity;
  }
  memcpy(out->bytes + out->count, bytes, count);
  out->count += count;
}

static void flush_nothing(png_structp png) { (void)png; }

int vos_png_write(
    const vos_png_header *header, const uint8_t *samples, int compression, uint8_t **bytes,
    size_t *count, char message[VOS_PNG_MESSAGE_BYTES]) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_write_struct(&png, NULL);
    fail(message, "libpng did not start");
    return -1;
  }
  sink *out = calloc(1, sizeof *out);
  if (!out || setjmp(png_jmpbuf(png))) {
    if (!out) fail(message, "out of memory");
    if (out) free(out->bytes);
    free(out);
    png_destroy_write_struct(&png, &info);
    return -1;
  }
  png_set_write_fn(png, out, append_bytes, flush_nothing);
  png_set_compression_level(png, compression);
  int indexed = header->color_type == PNG_COLOR_TYPE_PALETTE;
  // Labels and masks compress best without prediction; pictures need it.
  int filters = indexed || header->color_type == PNG_COLOR_TYPE_GRAY;
  png_set_filter(png, PNG_FILTER_TYPE_BASE, filters ? PNG_FILTER_NONE : PNG_FILTER_SUB);
  png_set_IHDR(
      png, info, header->width, header->height, header->bit_depth, header->color_type,
      PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (indexed) {
    png_color palette[256];
    for (int i = 0; i < header->palette_count && i < 256; i++) {
      palette[i].red = header->palette[3 * i];
      palette[i].green = header->palette[3 * i + 1];
      palette[i].blue = header->palette[3 * i + 2];
    }
    png_set_PLTE(png, info, palette, header->palette_count);
  }
  png_write_info(png, info);
  if (header->bit_depth < 8) png_set_packing(png);
  if (header->bit_depth == 16) png_set_swap(png);
  size_t row_bytes = (size_t)header->width * header->channels * header->bytes_per_sample;
  for (uint32_t y = 0; y < header->height; y++)
    png_write_row(png, samples + (size_t)y * row_bytes);
  png_write_end(png, NULL);
  *bytes = out->bytes;
  *count = out->count;
  free(out);
  png_destroy_write_struct(&png, &info);
  return 0;
}
