// PNG for Media/PNGImage.swift, over libpng. libpng reports errors by longjmp, which must not cross
// Swift frames: every setjmp and every longjmp stays in png.c, and errors come back as text.
#ifndef CPNG_H
#define CPNG_H

#include <stddef.h>
#include <stdint.h>

#define VOS_PNG_MESSAGE_BYTES 200

// What the header says. `channels` and `bytes_per_sample` describe the samples that
// vos_png_read delivers: 1-, 2- and 4-bit samples are unpacked to one byte each and not scaled,
// 16-bit samples come in the byte order of the machine.
typedef struct {
  uint32_t width;
  uint32_t height;
  uint8_t bit_depth;
  uint8_t color_type;  // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha
  uint8_t channels;
  uint8_t bytes_per_sample;
  uint16_t palette_count;
  uint8_t palette[768];  // R, G, B of each entry
  uint8_t has_transparent_color;  // grey and RGB: one colour is declared transparent
  uint16_t transparent_color[3];  // grey: in all three
} vos_png_header;

typedef struct vos_png_reader vos_png_reader;

// Parses everything before the image data. `bytes` must stay valid until vos_png_close. NULL on
// error, with the reason in `message`. Sizes over 32768 a side or 2^28 pixels are refused, and so
// are files too short to hold the size they declare.
vos_png_reader *vos_png_open(
    const uint8_t *bytes, size_t count, vos_png_header *header,
    char message[VOS_PNG_MESSAGE_BYTES]);

// Decodes all rows into `samples` (height × width × channels × bytes_per_sample bytes) and checks
// the rest of the file. 0, or -1 with the reason in `message`.
int vos_png_read(
    vos_png_reader *reader, uint8_t *samples, size_t count, char message[VOS_PNG_MESSAGE_BYTES]);

void vos_png_close(vos_png_reader *reader);

// Encodes `samples`, laid out as vos_png_read delivers them, into a malloc'ed buffer that the
// caller frees. `header` needs width, height, bit_depth, color_type and, for color type 3, the
// palette. `compression` is zlib's level, 1 (fast) … 9 (small). 0, or -1 with the reason.
int vos_png_write(
    const vos_png_header *header, const uint8_t *samples, int compression, uint8_t **bytes,
    size_t *count, char message[VOS_PNG_MESSAGE_BYTES]);

#endif
