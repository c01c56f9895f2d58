// The crew's phone: a photo goes out as soon as it is taken, made smaller where the camera's is large.
// Without this file the forms work all the same.
const LARGE_BYTES = 2_500_000;
const LONGEST_PX = 2560;
const QUALITY = 0.85;

async function smaller(file) {
  if (file.size < LARGE_BYTES) return file;
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_PX / Math.max(picture.width, picture.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', QUALITY));
  return blob && blob.size < file.size ? new File([blob], 'photo.jpg', {type: 'image/jpeg'}) : file;
}

for (const form of document.querySelectorAll('form[data-photo]')) {
  const input = form.querySelector('input[type=file]');
  input.addEventListener('change', async () => {
    if (!input.files.length) return;
    try {
      const chosen = new DataTransfer();
      chosen.items.add(await smaller(input.files[0]));
      input.files = chosen.files;
    } catch {
      // A picture that this browser cannot draw is for the server to judge.
    }
    form.requestSubmit();
  });
}

// Two taps are one: the second would be refused, and look like a fault.
for (const form of document.forms) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = 'yes';
    for (const button of form.querySelectorAll('button')) button.setAttribute('aria-busy', 'true');
  });
}
addEventListener('pageshow', () => {
  for (const form of document.forms) delete form.dataset.sent;
});
