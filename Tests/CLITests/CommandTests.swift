import ArgumentParser
import Testing

@testable import vos_cli

@Suite struct CommandTests {
  @Test func helpNamesTheTool() {
    #expect(VOSCommand.helpMessage().contains("vos-cli"))
  }
}
