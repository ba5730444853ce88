// Networks by name in recipes: `"network": {"preset": "vos-teacher"}`. Recipe calls.

import Foundation
import MemoryVOS

extension RecipeJSON {
  /// The recipe without `network.preset`, whose configuration takes the place of `network`.
  static func takePreset(
    _ json: String, into network: inout NetworkConfiguration, name: String
  ) throws(TrainingError) -> Data {
    let data = Data(json.utf8)
    // Text that is no JSON is for the caller to complain about.
    guard var recipe = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      var given = recipe["network"] as? [String: Any],
      let value = given.removeValue(forKey: "preset")
    else { return data }
    guard let preset = value as? String else {
      throw TrainingError(name, "'network.preset': expected text")
    }
    let known = NetworkConfiguration.presets
    guard let configuration = NetworkConfiguration(preset: preset) else {
      let hint =
        nearest(preset, known).map { "did you mean '\($0)'?" }
        ?? "known: \(known.joined(separator: ", "))"
      throw TrainingError(name, "'network.preset': no network '\(preset)'; \(hint)")
    }
    network = configuration
    recipe["network"] = given
    guard let rest = try? JSONSerialization.data(withJSONObject: recipe) else {
      preconditionFailure("what was JSON is JSON without a key")
    }
    return rest
  }
}
