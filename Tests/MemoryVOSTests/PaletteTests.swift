import MemoryVOS
import Testing

@Suite struct PaletteTests {
  @Test func beginsAsDAVISDoes() {
    #expect(Palette.color(of: 0) == (0, 0, 0))
    #expect(Palette.color(of: 1) == (128, 0, 0))
    #expect(Palette.color(of: 2) == (0, 128, 0))
    #expect(Palette.color(of: 8) == (64, 0, 0))
    #expect(Palette.color(of: 255) == (224, 224, 192))
  }
}
