/**
 * The phone's rear camera: opening it, its torch, and why it did not open. Used by the scan screen alone, which closes what it
 * opened. Pictures never leave the page.
 */

export type CameraFailure = "refused" | "absent" | "busy" | "unsupported";

export class CameraError extends Error {
  readonly failure: CameraFailure;
  constructor(failure: CameraFailure) {
    super(failure);
    this.name = "CameraError";
    this.failure = failure;
  }
}

/** Says which of our four cases a `getUserMedia` rejection is (Media Capture and Streams, section 10.2). */
export function classifyFailure(name: string): CameraFailure {
  if (name === "NotAllowedError" || name === "PermissionDeniedError" || name === "SecurityError") return "refused";
  if (name === "NotFoundError" || name === "DevicesNotFoundError" || name === "OverconstrainedError") return "absent";
  if (name === "NotReadableError" || name === "TrackStartError" || name === "AbortError") return "busy";
  return "unsupported";
}

/** `torch` and `getCapabilities` are missing in TypeScript's library and in some browsers. */
interface Capable {
  getCapabilities?: () => { torch?: boolean };
}

export class Camera {
  readonly stream: MediaStream;
  readonly #track: MediaStreamTrack | undefined;

  private constructor(stream: MediaStream) {
    this.stream = stream;
    this.#track = stream.getVideoTracks()[0];
  }

  /** Opens the rear camera, or any there is. Throws CameraError. */
  static async open(): Promise<Camera> {
    const devices = (navigator as { mediaDevices?: MediaDevices }).mediaDevices;
    if (devices === undefined) throw new CameraError("unsupported");
    const size = { width: { ideal: 1920 }, height: { ideal: 1080 }, frameRate: { ideal: 30 } };
    try {
      const stream = await devices.getUserMedia({ audio: false, video: { facingMode: { ideal: "environment" }, ...size } });
      return new Camera(stream);
    } catch (error) {
      throw new CameraError(classifyFailure(error instanceof Error ? error.name : ""));
    }
  }

  /** Whether this camera has a lamp that a page can switch. */
  get hasTorch(): boolean {
    return (this.#track as Capable | undefined)?.getCapabilities?.().torch === true;
  }

  async setTorch(on: boolean): Promise<void> {
    // `torch` is in the Image Capture specification, not in TypeScript's library.
    await this.#track?.applyConstraints({ advanced: [{ torch: on } as MediaTrackConstraintSet] });
  }

  /** Calls `listener` when the system takes the camera away (a call, another app). */
  onEnded(listener: () => void): void {
    this.#track?.addEventListener("ended", listener, { once: true });
  }

  close(): void {
    for (const track of this.stream.getTracks()) track.stop();
  }
}
