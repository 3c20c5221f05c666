// A business refusal: no effect, and never asked again.
export class Refusal extends Error {
  constructor(reason, detail) {
    super(detail);
    this.reason = reason;
  }
}
